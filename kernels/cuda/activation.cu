// Activations.
//
//   forward   y[i] = f(x[i])
//   backward  dx[i] = dy[i] * f'(x[i])       from x or from y, whichever the functor takes: one of them is
//   saved
//
// Dense tensors of any shape and format, all the same; f32, f16, bf16 with f32 arithmetic. Outputs are
// overwritten and may be the inputs.
#include "dlcuda/kernels/activation.h"

#include "dlcuda/kernels/cuda/dtype.cuh"
#include "dlcuda/kernels/cuda/map.cuh"
#include "dlcuda/kernels/functors/activation.h"

namespace dlcuda::kernels::cuda {
namespace {

template <typename F>
struct Forward {
  F function;
  __device__ float operator()(float x) const { return function.forward(x); }
};
template <typename F>
struct Backward {
  F function;
  __device__ float operator()(float dy, float saved) const { return function.backward(dy, saved); }
};

}  // namespace

void activation_forward(const TensorView& x, const TensorView& y, const ActivationParams& params) {
  visit_float("activation_forward", x.dtype, [&]<typename T>() {
    functors::visit_activation<float>(params, [&](auto function) {
      map("activation_forward", Forward<decltype(function)>{function}, x.numel(), y.as<T>(), x.as<const T>());
    });
  });
}

void activation_backward(const TensorView& dy, const TensorView& saved, const TensorView& dx,
                         const ActivationParams& params) {
  visit_float("activation_backward", dy.dtype, [&]<typename T>() {
    functors::visit_activation<float>(params, [&](auto function) {
      map("activation_backward", Backward<decltype(function)>{function}, dy.numel(), dx.as<T>(),
          dy.as<const T>(), saved.as<const T>());
    });
  });
}

}  // namespace dlcuda::kernels::cuda

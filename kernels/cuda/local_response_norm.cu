// Local response normalisation across channels of (outer, C, inner); f32, f16, bf16 with f32 arithmetic.
//
//   forward   y[c] = x[c] * d[c]^-beta,  d[c] = k + alpha / size * sum of x[j]^2 over the window of c
//   backward  dx[c] = dy[c] d[c]^-beta - 2 alpha beta / size x[c] * sum of dy[j] x[j] d[j]^(-beta - 1) over
//   the windows
//             that hold c
//
// One thread an element; neighbours read the same windows from the cache. Outputs are overwritten, x is
// saved.
#include "dlcuda/kernels/local_response_norm.h"

#include "dlcuda/kernels/cuda/dtype.cuh"
#include "dlcuda/kernels/cuda/launch.cuh"
#include "dlcuda/kernels/functors/local_response_norm.h"

namespace dlcuda::kernels::cuda {
namespace {

using Window = functors::ResponseWindow<float>;

template <typename T>
__global__ void forward_kernel(const T* x, Window window, std::int64_t count, T* y) {
  for (std::int64_t i = global_thread(); i < count; i += global_threads()) {
    const std::int64_t c = i / window.step % window.channels;
    const float d = window.scale(x + i - c * window.step, c);
    y[i] = T(static_cast<float>(x[i]) * functors::pow(d, -window.beta));
  }
}

template <typename T>
__global__ void backward_kernel(const T* dy, const T* x, Window window, std::int64_t count, T* dx) {
  for (std::int64_t i = global_thread(); i < count; i += global_threads()) {
    const std::int64_t c = i / window.step % window.channels, first = i - c * window.step;
    dx[i] = T(window.gradient(dy + first, x + first, c));
  }
}

}  // namespace

void local_response_norm_forward(const TensorView& x, const TensorView& y,
                                 const LocalResponseNormParams& params) {
  visit_float("local_response_norm_forward", x.dtype, [&]<typename T>() {
    launch("local_response_norm_forward", forward_kernel<T>, grid_for(x.numel(), kBlock), kBlock, 0,
           this_stream(), x.as<const T>(), Window(x.shape[1], x.shape[2], params), x.numel(), y.as<T>());
  });
}

void local_response_norm_backward(const TensorView& dy, const TensorView& x, const TensorView& dx,
                                  const LocalResponseNormParams& params) {
  visit_float("local_response_norm_backward", x.dtype, [&]<typename T>() {
    launch("local_response_norm_backward", backward_kernel<T>, grid_for(x.numel(), kBlock), kBlock, 0,
           this_stream(), dy.as<const T>(), x.as<const T>(), Window(x.shape[1], x.shape[2], params),
           x.numel(), dx.as<T>());
  });
}

}  // namespace dlcuda::kernels::cuda

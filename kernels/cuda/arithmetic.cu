// Arithmetic of elements.
//
//   binary          out[i] = f(a[i], b[i]), a and b repeated where they have fewer elements
//   unary           y[i] = f(x[i])
//   unary_backward  dx[i] = dy[i] * f'(x[i])
//   fill            x[i] = value
//   advance_counter  counter[0] += by
//
// f32, f16, bf16 with f32 arithmetic (fill: any dtype). Outputs are dense, are overwritten and may be an
// input. Where all tensors run through memory alike, 16 bytes are read at a time.
#include "dlcuda/kernels/arithmetic.h"

#include "dlcuda/kernels/cuda/dtype.cuh"
#include "dlcuda/kernels/cuda/map.cuh"
#include "dlcuda/kernels/functors/arithmetic.h"
#include "dlcuda/kernels/functors/convert.h"
#include "dlcuda/kernels/walk.h"

namespace dlcuda::kernels::cuda {
namespace {

template <typename T>
struct Constant {
  T value;
  __device__ T operator()() const { return value; }
};

__global__ void advance_counter_kernel(std::int64_t* counter, std::int64_t by) { *counter += by; }

template <typename F>
struct Forward {
  F f;
  __device__ float operator()(float x) const { return f.forward(x); }
};
template <typename F>
struct Backward {
  F f;
  __device__ float operator()(float dy, float x) const { return f.backward(dy, x); }
};

// One thread an element, in the order of `out`; a and b repeat where their strides are 0.
template <typename F, typename T, typename Index>
__global__ void broadcast_kernel(F f, const T* a, const T* b, Walk<3> walk, T* out) {
  const auto threads = static_cast<Index>(global_threads()), count = static_cast<Index>(walk.count);
  for (auto i = static_cast<Index>(global_thread()); i < count; i += threads) {
    Index rest = i;
    std::int64_t at_out = 0, at_a = 0, at_b = 0;
    for (int axis = walk.rank - 1; axis >= 0; --axis) {
      const auto extent = static_cast<Index>(walk.extent[axis]);
      const Index position = rest % extent;
      rest /= extent;
      at_out += position * walk.stride[0][axis];
      at_a += position * walk.stride[1][axis];
      at_b += position * walk.stride[2][axis];
    }
    out[at_out] = T(f(static_cast<float>(a[at_a]), static_cast<float>(b[at_b])));
  }
}

}  // namespace

void binary(const TensorView& a, const TensorView& b, const TensorView& out, BinaryOp op) {
  const auto walk = walk_of<3>({&out, &a, &b});
  visit_float("binary", a.dtype, [&]<typename T>() {
    functors::visit_binary(op, [&](auto f) {
      if (walk.is_flat()) {
        map("binary", f, walk.count, out.as<T>(), a.as<const T>(), b.as<const T>());
        return;
      }
      visit_index(walk.count, [&]<typename Index>() {
        launch("binary", broadcast_kernel<decltype(f), T, Index>, grid_for(walk.count, kBlock), kBlock, 0,
               this_stream(), f, a.as<const T>(), b.as<const T>(), walk, out.as<T>());
      });
    });
  });
}

void unary(const TensorView& x, const TensorView& y, const UnaryParams& params) {
  visit_float("unary", x.dtype, [&]<typename T>() {
    functors::visit_unary<float>(params, [&](auto f) {
      map("unary", Forward<decltype(f)>{f}, x.numel(), y.as<T>(), x.as<const T>());
    });
  });
}

void unary_backward(const TensorView& dy, const TensorView& x, const TensorView& dx,
                    const UnaryParams& params) {
  visit_float("unary_backward", x.dtype, [&]<typename T>() {
    functors::visit_unary<float>(params, [&](auto f) {
      map("unary_backward", Backward<decltype(f)>{f}, x.numel(), dx.as<T>(), dy.as<const T>(),
          x.as<const T>());
    });
  });
}

void fill(const TensorView& x, double value) {
  visit_any(x.dtype, [&]<typename T>() {
    map("fill", Constant<T>{functors::convert<T>(value)}, x.numel(), x.as<T>());
  });
}

void advance_counter(const TensorView& counter, std::int64_t by) {
  launch("advance_counter", advance_counter_kernel, 1, 1, 0, this_stream(), counter.as<std::int64_t>(), by);
}

}  // namespace dlcuda::kernels::cuda

// Softmax over the last axis: (rows, n), contiguous; f32, f16, bf16 with f32 arithmetic.
//
//   forward   y = exp(x - max x) / sum exp(x - max x)
//   backward  dx = y * (dy - sum(dy * y))                 y is what the forward pass saves
//
// Outputs are overwritten and may be the inputs. A warp or a block takes a row.
#include "dlcuda/kernels/softmax.h"

#include "dlcuda/kernels/cuda/dtype.cuh"
#include "dlcuda/kernels/cuda/reduction.cuh"
#include "dlcuda/kernels/functors/math.h"

namespace dlcuda::kernels::cuda {
namespace {

template <int kThreads, typename T>
__global__ void softmax_forward_kernel(const T* x, std::int64_t rows, std::int64_t n, T* y) {
  const int thread = threadIdx.x % kThreads;
  for (std::int64_t row = global_thread() / kThreads; row < rows; row += global_threads() / kThreads) {
    const T* in = x + row * n;
    float largest = Max::kIdentity;
    for (std::int64_t i = thread; i < n; i += kThreads) largest = Max{}(largest, static_cast<float>(in[i]));
    largest = group_reduce<kThreads>(largest, Max{});
    float sum = 0.0f;
    for (std::int64_t i = thread; i < n; i += kThreads) {
      sum += functors::exp(static_cast<float>(in[i]) - largest);
    }
    sum = group_reduce<kThreads>(sum, Sum{});
    for (std::int64_t i = thread; i < n; i += kThreads) {
      y[row * n + i] = T(functors::exp(static_cast<float>(in[i]) - largest) / sum);
    }
  }
}

template <int kThreads, typename T>
__global__ void softmax_backward_kernel(const T* dy, const T* y, std::int64_t rows, std::int64_t n, T* dx) {
  const int thread = threadIdx.x % kThreads;
  for (std::int64_t row = global_thread() / kThreads; row < rows; row += global_threads() / kThreads) {
    float sum = 0.0f;
    for (std::int64_t i = row * n + thread; i < (row + 1) * n; i += kThreads) {
      sum += static_cast<float>(dy[i]) * static_cast<float>(y[i]);
    }
    sum = group_reduce<kThreads>(sum, Sum{});
    for (std::int64_t i = row * n + thread; i < (row + 1) * n; i += kThreads) {
      dx[i] = T(static_cast<float>(y[i]) * (static_cast<float>(dy[i]) - sum));
    }
  }
}

}  // namespace

void softmax_forward(const TensorView& x, const TensorView& y) {
  const std::int64_t rows = x.shape[0], n = x.shape[1];
  visit_float("softmax_forward", x.dtype, [&]<typename T>() {
    visit_row_threads(n, [&]<int kThreads>() {
      launch("softmax_forward", softmax_forward_kernel<kThreads, T>, grid_for(rows, kBlock / kThreads),
             kBlock, 0, this_stream(), x.as<const T>(), rows, n, y.as<T>());
    });
  });
}

void softmax_backward(const TensorView& dy, const TensorView& y, const TensorView& dx) {
  const std::int64_t rows = y.shape[0], n = y.shape[1];
  visit_float("softmax_backward", dy.dtype, [&]<typename T>() {
    visit_row_threads(n, [&]<int kThreads>() {
      launch("softmax_backward", softmax_backward_kernel<kThreads, T>, grid_for(rows, kBlock / kThreads),
             kBlock, 0, this_stream(), dy.as<const T>(), y.as<const T>(), rows, n, dx.as<T>());
    });
  });
}

}  // namespace dlcuda::kernels::cuda

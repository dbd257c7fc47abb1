// Softmax and log-softmax over the middle axis of (outer, n, inner), contiguous; f32, f16, bf16 with f32
// arithmetic.
//
//   softmax      y = exp(x - max) / sum exp(x - max)        dx = y * (dy - sum(dy * y))
//   log softmax  y = x - max - log sum exp(x - max)         dx = dy - exp(y) * sum(dy)
//
// y is what the forward pass saves. Outputs are overwritten and may be the inputs. Where inner is 1 a warp or
// a block takes a row; else a thread takes a column, beside the threads of the neighbouring columns.
#include "dlcuda/kernels/softmax.h"

#include "dlcuda/kernels/cuda/dtype.cuh"
#include "dlcuda/kernels/cuda/reduction.cuh"
#include "dlcuda/kernels/functors/softmax.h"

namespace dlcuda::kernels::cuda {
namespace {

/// kThreads threads share a row: its elements lie `inner` apart, and a thread takes every kThreads-th.
template <bool kLog, int kThreads, typename T>
__global__ void forward_kernel(const T* x, std::int64_t rows, std::int64_t n, std::int64_t inner, T* y) {
  using Term = functors::Softmax<float, kLog>;
  const int thread = threadIdx.x % kThreads;
  for (std::int64_t row = global_thread() / kThreads; row < rows; row += global_threads() / kThreads) {
    const std::int64_t first = row / inner * n * inner + row % inner;
    const T* in = x + first;
    float largest = Max::kIdentity;
    for (std::int64_t i = thread; i < n; i += kThreads) {
      largest = Max{}(largest, static_cast<float>(in[i * inner]));
    }
    largest = group_reduce<kThreads>(largest, Max{});
    float sum = 0.0f;
    for (std::int64_t i = thread; i < n; i += kThreads) {
      sum += functors::exp(static_cast<float>(in[i * inner]) - largest);
    }
    sum = group_reduce<kThreads>(sum, Sum{});
    const float normaliser = Term::normaliser(sum);
    for (std::int64_t i = thread; i < n; i += kThreads) {
      y[first + i * inner] = T(Term::forward(static_cast<float>(in[i * inner]), largest, normaliser));
    }
  }
}

template <bool kLog, int kThreads, typename T>
__global__ void backward_kernel(const T* dy, const T* y, std::int64_t rows, std::int64_t n,
                                std::int64_t inner, T* dx) {
  using Term = functors::Softmax<float, kLog>;
  const int thread = threadIdx.x % kThreads;
  for (std::int64_t row = global_thread() / kThreads; row < rows; row += global_threads() / kThreads) {
    const std::int64_t first = row / inner * n * inner + row % inner;
    float sum = 0.0f;
    for (std::int64_t i = thread; i < n; i += kThreads) {
      const std::int64_t at = first + i * inner;
      sum += Term::term(static_cast<float>(dy[at]), static_cast<float>(y[at]));
    }
    sum = group_reduce<kThreads>(sum, Sum{});
    for (std::int64_t i = thread; i < n; i += kThreads) {
      const std::int64_t at = first + i * inner;
      dx[at] = T(Term::backward(static_cast<float>(dy[at]), static_cast<float>(y[at]), sum));
    }
  }
}

/// visitor.operator()<T, kLog, kThreads>()
template <typename Visitor>
void visit(const char* name, const TensorView& x, bool log, Visitor&& visitor) {
  visit_float(name, x.dtype, [&]<typename T>() {
    const auto with_threads = [&]<int kThreads>() {
      if (log) {
        visitor.template operator()<T, true, kThreads>();
      } else {
        visitor.template operator()<T, false, kThreads>();
      }
    };
    if (x.shape[2] > 1) {
      with_threads.template operator()<1>();
    } else {
      visit_row_threads(x.shape[1], with_threads);
    }
  });
}

}  // namespace

void softmax_forward(const TensorView& x, const TensorView& y, bool log) {
  const std::int64_t n = x.shape[1], inner = x.shape[2], rows = x.shape[0] * inner;
  visit("softmax_forward", x, log, [&]<typename T, bool kLog, int kThreads>() {
    launch("softmax_forward", forward_kernel<kLog, kThreads, T>, grid_for(rows, kBlock / kThreads), kBlock, 0,
           this_stream(), x.as<const T>(), rows, n, inner, y.as<T>());
  });
}

void softmax_backward(const TensorView& dy, const TensorView& y, const TensorView& dx, bool log) {
  const std::int64_t n = y.shape[1], inner = y.shape[2], rows = y.shape[0] * inner;
  visit("softmax_backward", dy, log, [&]<typename T, bool kLog, int kThreads>() {
    launch("softmax_backward", backward_kernel<kLog, kThreads, T>, grid_for(rows, kBlock / kThreads), kBlock,
           0, this_stream(), dy.as<const T>(), y.as<const T>(), rows, n, inner, dx.as<T>());
  });
}

}  // namespace dlcuda::kernels::cuda

// Reductions over the middle axis of x (outer, n, inner), contiguous; f32, f16, bf16 with f32 arithmetic.
//
//   reduce  y[o, i] = sum, mean, max or min over j of x[o, j, i]
//   argmax  y[o, i] = the first j (i64) with the largest (or smallest) x[o, j, i]; NaN wins
//
// Outputs are overwritten. Sums over more than a chunk take several passes in a fixed order (reduction.cuh).
#include "dlcuda/kernels/reduce.h"

#include "dlcuda/kernels/cuda/argmax.cuh"
#include "dlcuda/kernels/cuda/dtype.cuh"

namespace dlcuda::kernels::cuda {
namespace {

// One warp an output where it walks a long row (inner = 1), else one thread, neighbours on neighbouring
// columns.
template <int kLanes, typename T>
__global__ void argmax_kernel(const T* x, std::int64_t outer, std::int64_t n, std::int64_t inner, float sign,
                              std::int64_t* y) {
  const int lane = threadIdx.x % kLanes;
  for (std::int64_t item = global_thread() / kLanes; item < outer * inner;
       item += global_threads() / kLanes) {
    const std::int64_t found =
        first_largest<kLanes>(x + item / inner * n * inner + item % inner, n, inner, sign, lane);
    if (lane == 0) y[item] = found;
  }
}

}  // namespace

void reduce(const TensorView& x, const TensorView& y, Reduction reduction) {
  const std::int64_t outer = x.shape[0], n = x.shape[1], inner = x.shape[2];
  visit_float("reduce", x.dtype, [&]<typename T>() {
    if (reduction == Reduction::Max) {
      reduce_middle<Max>("reduce", x.as<const T>(), outer, n, inner, y.as<T>());
    } else if (reduction == Reduction::Min) {
      reduce_middle<Min>("reduce", x.as<const T>(), outer, n, inner, y.as<T>());
    } else {
      const float divisor = reduction == Reduction::Mean ? static_cast<float>(n) : 1.0f;
      reduce_middle<Sum>("reduce", x.as<const T>(), outer, n, inner, y.as<T>(), divisor);
    }
  });
}

void argmax(const TensorView& x, const TensorView& y, bool smallest) {
  const std::int64_t outer = x.shape[0], n = x.shape[1], inner = x.shape[2];
  visit_float("argmax", x.dtype, [&]<typename T>() {
    const bool rows = inner == 1 && n > kWarp;  // few elements would leave most of a warp idle
    launch("argmax", rows ? argmax_kernel<kWarp, T> : argmax_kernel<1, T>,
           grid_for(outer * inner, rows ? kBlock / kWarp : kBlock), kBlock, 0, this_stream(), x.as<const T>(),
           outer, n, inner, smallest ? -1.0f : 1.0f, y.as<std::int64_t>());
  });
}

}  // namespace dlcuda::kernels::cuda

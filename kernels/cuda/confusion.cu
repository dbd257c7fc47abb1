// Confusion counts. predictions, labels (N, ...), i64, contiguous.
//
//   counts[label, prediction] += 1 for each row whose two entries are classes; counts (C, C), i64
//   metrics[0] += loss * N; metrics[1] += N; f64
//
// Both accumulate. Counts are whole numbers, so that atomics give the same bits in any order. Where C * C
// counters fit, each block counts in shared memory first: most rows are of few classes.
#include "dlcuda/kernels/confusion.h"

#include "dlcuda/kernels/cuda/launch.cuh"

namespace dlcuda::kernels::cuda {
namespace {

constexpr int kSharedCounters = 4096;
constexpr std::int64_t kRowsPerThread = 16;

using Counter = unsigned long long;  // what atomicAdd takes; of the size of i64

template <bool kShared>
__global__ void confusion_kernel(const std::int64_t* predictions, const std::int64_t* labels,
                                 std::int64_t rows, std::int64_t classes, const float* loss, double images,
                                 Counter* counts, double* metrics) {
  __shared__ unsigned block_counts[kShared ? kSharedCounters : 1];
  [[maybe_unused]] const auto counters = static_cast<int>(classes * classes);
  if constexpr (kShared) {
    for (int i = threadIdx.x; i < counters; i += blockDim.x) block_counts[i] = 0;
    __syncthreads();
  }
  for (std::int64_t r = global_thread(); r < rows; r += global_threads()) {
    const std::int64_t label = labels[r], predicted = predictions[r];
    if (label < 0 || label >= classes || predicted < 0 || predicted >= classes) continue;
    const std::int64_t at = label * classes + predicted;
    if constexpr (kShared) {
      atomicAdd(&block_counts[at], 1u);
    } else {
      atomicAdd(&counts[at], Counter{1});
    }
  }
  if constexpr (kShared) {
    __syncthreads();
    for (int i = threadIdx.x; i < counters; i += blockDim.x) {
      if (block_counts[i] != 0) atomicAdd(&counts[i], Counter{block_counts[i]});
    }
  }
  if (global_thread() == 0) {
    metrics[0] += static_cast<double>(*loss) * images;
    metrics[1] += images;
  }
}

}  // namespace

void confusion_metrics(const TensorView& predictions, const TensorView& labels, const TensorView& loss,
                       const TensorView& counts, const TensorView& metrics) {
  const std::int64_t classes = counts.shape[0], rows = labels.numel();
  const auto run = [&]<bool kShared>() {
    launch("confusion_metrics", confusion_kernel<kShared>,
           std::max(grid_for(rows, kBlock * kRowsPerThread), 1u), kBlock, 0, this_stream(),
           predictions.as<const std::int64_t>(), labels.as<const std::int64_t>(), rows, classes,
           loss.as<const float>(), static_cast<double>(labels.shape[0]),
           reinterpret_cast<Counter*>(counts.as<std::int64_t>()), metrics.as<double>());
  };
  if (classes * classes <= kSharedCounters) {
    run.template operator()<true>();
  } else {
    run.template operator()<false>();
  }
}

}  // namespace dlcuda::kernels::cuda

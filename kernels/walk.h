// The axes of an element-wise operation on views of one shape, without those of extent 1, sorted by the first
// view's strides (slowest first) and merged where all views allow it. What is left is walked by loops and
// kernels. Internal.
#pragma once

#include "dlcuda/core/macros.h"
#include "dlcuda/core/tensor_view.h"

namespace dlcuda::kernels {

template <int kViews>
struct Walk {
  int rank = 0;
  std::int64_t extent[kMaxRank] = {};
  std::int64_t stride[kViews][kMaxRank] = {};
  std::int64_t count = 1;

  /// All views run through memory in one order without gaps.
  DLCUDA_HD bool is_flat() const {
    if (rank > 1) return false;
    for (int v = 0; v < kViews; ++v) {
      if (rank == 1 && stride[v][0] != 1) return false;
    }
    return true;
  }
};

template <int kViews>
DLCUDA_INLINE Walk<kViews> walk_of(const TensorView* const (&views)[kViews]) {
  Walk<kViews> sorted;
  const TensorView& first = *views[0];
  for (int axis = 0; axis < first.rank; ++axis) {
    sorted.count *= first.shape[axis];
    if (first.shape[axis] == 1) continue;
    int at = sorted.rank++;
    for (; at > 0 && sorted.stride[0][at - 1] < first.strides[axis]; --at) {
      sorted.extent[at] = sorted.extent[at - 1];
      for (int v = 0; v < kViews; ++v) sorted.stride[v][at] = sorted.stride[v][at - 1];
    }
    sorted.extent[at] = first.shape[axis];
    for (int v = 0; v < kViews; ++v) sorted.stride[v][at] = views[v]->strides[axis];
  }
  Walk<kViews> merged;
  merged.count = sorted.count;
  for (int axis = 0; axis < sorted.rank; ++axis) {
    const int last = merged.rank - 1;
    bool joins = last >= 0;
    for (int v = 0; v < kViews; ++v) {
      joins = joins && merged.stride[v][last < 0 ? 0 : last] == sorted.stride[v][axis] * sorted.extent[axis];
    }
    const int place = joins ? last : merged.rank++;
    merged.extent[place] = (joins ? merged.extent[last] : 1) * sorted.extent[axis];
    for (int v = 0; v < kViews; ++v) merged.stride[v][place] = sorted.stride[v][axis];
  }
  return merged;
}

}  // namespace dlcuda::kernels

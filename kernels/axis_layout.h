// A dense tensor seen along one of its axes, in the order of memory. Internal.
#pragma once

#include "dlcuda/kernels/checks.h"

namespace dlcuda::kernels {

/// 0 to rank - 1 from an axis that may count from the end. Throws ShapeError, also for a scalar.
inline int checked_axis(const char* op, const Tensor& x, int axis) {
  DLCUDA_CHECK(axis >= -x.rank() && axis < x.rank(), ShapeError, "{}: axis {} does not exist in shape {}", op,
               axis, to_string(x.shape()));
  return axis < 0 ? axis + x.rank() : axis;
}

/// Whether the elements lie densely in logical order. Strides of axes with one element do not matter.
inline bool lies_contiguous(const TensorView& view) {
  std::int64_t step = 1;
  for (int axis = view.rank - 1; axis >= 0; --axis) {
    if (view.shape[axis] > 1 && view.strides[axis] != step) return false;
    step *= view.shape[axis];
  }
  return true;
}

/// Whether a tensor (N, C, H, W) lies densely with the channels innermost.
inline bool lies_channels_last(const TensorView& view) {
  std::int64_t step = 1;
  for (const int axis : {1, 3, 2, 0}) {
    if (view.shape[axis] > 1 && view.strides[axis] != step) return false;
    step *= view.shape[axis];
  }
  return true;
}

/// The elements as (outer, n, inner), contiguous, n being those along `axis` (checked); channels_last: in
/// which order x lies. Where it lies in both, the caller's other tensors decide.
inline TensorView along_axis(TensorView view, int axis, bool channels_last) {
  std::int64_t outer = 1, inner = 1;
  for (int other = 0; other < view.rank; ++other) {
    if (other == axis) continue;
    // Channels lie behind all others in channels-last.
    const bool before = channels_last && (axis == 1 || other == 1) ? axis == 1 : other < axis;
    (before ? outer : inner) *= view.shape[other];
  }
  const std::int64_t n = view.shape[axis];
  view.rank = 3;
  for (const auto& [i, extent, stride] :
       {std::tuple{0, outer, n * inner}, {1, n, inner}, {2, inner, std::int64_t{1}}}) {
    view.shape[i] = extent;
    view.strides[i] = stride;
  }
  return view;
}

inline TensorView along_axis(const Tensor& x, int axis, bool channels_last) {
  return along_axis(x.raw(), axis, channels_last);
}
/// The same in the order in which x lies.
inline TensorView along_axis(const Tensor& x, int axis) {
  return along_axis(x, axis, x.is_channels_last() && !x.is_contiguous());
}

}  // namespace dlcuda::kernels

// The windows of pooling along one axis. Position is a signed integer: windows can begin in the padding.
#pragma once

#include "dlcuda/core/macros.h"
#include "dlcuda/kernels/pool2d.h"

namespace dlcuda::functors {

template <typename Position>
struct PoolAxis {
  Position kernel, stride, padding, in, out;
  bool adaptive;

  DLCUDA_HD explicit PoolAxis(const kernels::PoolWindows& w)
      : kernel(static_cast<Position>(w.kernel)),
        stride(static_cast<Position>(w.stride)),
        padding(static_cast<Position>(w.padding)),
        in(static_cast<Position>(w.in)),
        out(static_cast<Position>(w.out)),
        adaptive(w.adaptive) {}

  /// The part of window o that is inside the input: first element, one past the last.
  DLCUDA_HD Position begin(Position o) const {
    const Position first = adaptive ? o * in / out : o * stride - padding;
    return first < 0 ? 0 : first;
  }
  DLCUDA_HD Position end(Position o) const {
    const Position last = adaptive ? ((o + 1) * in + out - 1) / out : o * stride - padding + kernel;
    return last < in ? last : in;
  }
  /// Elements of window o with the padding, but not beyond it (where ceil mode lets the last window begin
  /// late).
  DLCUDA_HD Position padded_size(Position o) const {
    const Position first = o * stride - padding, last = first + kernel;
    return (last < in + padding ? last : in + padding) - first;
  }
  /// The windows that contain element i: first window, one past the last.
  DLCUDA_HD Position first_window(Position i) const {
    if (adaptive) return i * out / in;
    const Position before = i + padding - kernel;  // the last place where a window ends before i
    return before < 0 ? 0 : before / stride + 1;
  }
  DLCUDA_HD Position end_window(Position i) const {
    const Position last = adaptive ? ((i + 1) * out - 1) / in + 1 : (i + padding) / stride + 1;
    return last < out ? last : out;
  }
};

/// What the sum of window (oh, ow) is divided by.
template <typename C, typename Position>
DLCUDA_HD C pool_divisor(const PoolAxis<Position>& h, const PoolAxis<Position>& w, Position oh, Position ow,
                         bool count_include_pad) {
  if (count_include_pad && !h.adaptive) {
    return static_cast<C>(h.padded_size(oh)) * static_cast<C>(w.padded_size(ow));
  }
  return static_cast<C>(h.end(oh) - h.begin(oh)) * static_cast<C>(w.end(ow) - w.begin(ow));
}

}  // namespace dlcuda::functors

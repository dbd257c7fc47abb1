// Where the elements of a group lie, and what a row of normalised values has in common. T: float or double.
#pragma once

#include "dlcuda/kernels/functors/math.h"
#include "dlcuda/kernels/group_norm.h"

namespace dlcuda::functors {

/// A row: the elements of one sample and group. Element k of row r lies at index(r, k) and has channel(r, k).
struct GroupRows {
  std::int64_t channels, inner, groups, width;  ///< width: channels of a group
  bool channels_last;

  DLCUDA_HD explicit GroupRows(const kernels::GroupNormLayout& layout)
      : channels(layout.channels),
        inner(layout.inner),
        groups(layout.groups),
        width(layout.channels / layout.groups),
        channels_last(layout.channels_last) {}

  DLCUDA_HD std::int64_t length() const { return width * inner; }
  DLCUDA_HD std::int64_t channel(std::int64_t row, std::int64_t k) const {
    return row % groups * width + (channels_last ? k % width : k / inner);
  }
  DLCUDA_HD std::int64_t index(std::int64_t row, std::int64_t k) const {
    if (!channels_last) return row * length() + k;
    return (row / groups * inner + k / width) * channels + channel(row, k);
  }
  /// The row of the element at index i, whose channel is c.
  DLCUDA_HD std::int64_t row_of(std::int64_t i, std::int64_t c) const {
    return i / (channels * inner) * groups + c / width;
  }
};

/// dx = inverse_std * (g - mean of g - normalised x * mean of g * normalised x), g = dy * weight
template <typename T>
DLCUDA_HD T normalised_gradient(T g, T normalised, T mean_g, T mean_gx, T inverse_std) {
  return inverse_std * (g - mean_g - normalised * mean_gx);
}

}  // namespace dlcuda::functors

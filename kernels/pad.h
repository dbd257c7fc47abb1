// Padding and cropping: the elements of a tensor with a value around them. Any dtype, any rank.
#pragma once

#include <cstdint>
#include <span>

#include "dlcuda/kernels/backend.h"

namespace dlcuda {
namespace kernels DLCUDA_API {

/// What is added in front of and behind an axis.
struct AxisPadding {
  std::int64_t before = 0, after = 0;  ///< negative: taken away instead
};
/// x with `value` around it; padding has an entry for each axis. The result is dense, has storage of its own
/// and, with four axes, x's memory format; x may be a channel slice. Throws ShapeError where more is taken
/// away than is there.
Tensor pad(const Tensor& x, std::span<const AxisPadding> padding, double value = 0);

/// The axes of a padded tensor y, slowest in memory first, those without padding joined to the one before
/// them where that can be.
struct PadAxes {
  int rank = 0;
  std::int64_t count = 1;           ///< elements of y
  std::int64_t extent[kMaxRank]{};  ///< of y
  std::int64_t before[kMaxRank]{};  ///< where `kept` elements of x begin
  std::int64_t kept[kMaxRank]{};
  std::int64_t stride[kMaxRank]{};  ///< of x
};
// kept: the part of x that is in y, y dense, and the axes of both; y is overwritten.
DLCUDA_LOOP_BACKENDS(void pad(const TensorView& kept, const TensorView& y, const PadAxes& axes,
                              double value);)

}  // namespace kernels
}  // namespace dlcuda

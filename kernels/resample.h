// Pictures of another size: nearest and bilinear resizing, reflecting padding. x (N, C, H, W),
// floating-point, dense in either format, which the result keeps.
#pragma once

#include <array>
#include <cstdint>

#include "dlcuda/kernels/backend.h"

namespace dlcuda {
namespace kernels DLCUDA_API {

enum class Resample : std::uint8_t {
  Nearest,          ///< element floor(o * (in / out)), both in f32 as in PyTorch; extents up to 2^23
  Bilinear,         ///< centres of pixels: place (o + 1/2) * in / out - 1/2, not before the first element
  BilinearCorners,  ///< corners on corners ("align_corners"): place o * (in - 1) / (out - 1)
  Reflect           ///< padding; resize() does not take it
};

/// floor(extent * scale) for height and width, of which resize() then takes the ratio (PyTorch's
/// recompute_scale_factor). Throws ArgumentError unless scales are positive and finite, ShapeError where an
/// extent becomes 0.
std::array<std::int64_t, 2> scaled_size(const Shape& x, std::array<double, 2> scale);

/// (N, C, height, width). Extents must be positive.
Tensor resize(const Tensor& x, std::array<std::int64_t, 2> size, Resample mode);
/// Gradient with respect to x, of shape `x_shape`.
Tensor resize_backward(const Tensor& dy, const Shape& x_shape, Resample mode);

/// Adds rows and columns that mirror the inside: top, left, bottom, right, each less than the extent.
Tensor pad_reflect(const Tensor& x, std::array<std::int64_t, 4> padding);
Tensor pad_reflect_backward(const Tensor& dy, const Shape& x_shape, std::array<std::int64_t, 4> padding);

// before: what Reflect adds at the top and left.
DLCUDA_LOOP_BACKENDS(void resample_forward(const TensorView& x, const TensorView& y, Resample mode,
                                           std::array<std::int64_t, 2> before);
                     void resample_backward(const TensorView& dy, const TensorView& dx, Resample mode,
                                            std::array<std::int64_t, 2> before);)

}  // namespace kernels
}  // namespace dlcuda

// Pictures of another size, for prediction: 8-bit planes, on the CPU.
#pragma once

#include <cstdint>

#include "dlcuda/core/macros.h"
#include "dlcuda/data/image_file.h"

namespace dlcuda DLCUDA_API {

/// Bilinear, and antialiased: where the picture shrinks, the triangle that weighs pixels is as much wider, so
/// that every one of them counts. Columns first, then rows, rounded to 8 bits after each: what Pillow's
/// resize and torchvision's Resize (of a PIL image) give. Throws ArgumentError unless both extents are
/// positive.
Image resize_image(const Image& image, std::int64_t height, std::int64_t width);

/// The picture with its shorter side of `side` pixels; the longer one in proportion, rounded down.
/// (torchvision's Resize(side).) Throws ArgumentError unless side is positive, and where the longer one had
/// more than 2^20 pixels.
Image resize_shorter_side(const Image& image, std::int64_t side);

/// height x width pixels from the middle, as torchvision's CenterCrop. Throws ArgumentError where the picture
/// is smaller, or an extent is not positive.
Image center_crop(const Image& image, std::int64_t height, std::int64_t width);

}  // namespace dlcuda

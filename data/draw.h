// Drawing on RGB pictures what a model has found in them: boxes with labels, masks.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

#include "dlcuda/core/macros.h"
#include "dlcuda/data/image_file.h"

namespace dlcuda DLCUDA_API {

using Color = std::array<std::uint8_t, 3>;  ///< red, green, blue

/// A colour of its own for each class: hues a golden angle apart, so that neighbours differ most.
Color class_color(std::int64_t index);

/// Pixels with columns left <= x < right and rows top <= y < bottom. What lies outside of the picture is not
/// drawn, here and below.
struct PixelBox {
  std::int64_t left = 0, top = 0, right = 0, bottom = 0;
};

/// Letters of the built-in font are 5 x 7 pixels in cells of 6 x 9, each pixel `scale` x `scale`.
struct TextSize {
  std::int64_t width = 0, height = 0;
};
TextSize text_size(std::string_view text, std::int64_t scale = 1);

// Each throws ArgumentError unless the picture has 3 channels.

void fill_box(Image& image, const PixelBox& box, const Color& color);
/// The frame of a box, `thickness` pixels wide, inside of it.
void draw_box(Image& image, const PixelBox& box, const Color& color, std::int64_t thickness = 1);
/// Printable ASCII; another byte is a filled cell. (x, y): the upper left corner.
void draw_text(Image& image, std::int64_t x, std::int64_t y, std::string_view text, const Color& color,
               std::int64_t scale = 1);
/// A box in its class's colour, with a label on a strip of that colour above it, or in it where there is no
/// room above. Sized for the picture.
void draw_labelled_box(Image& image, const PixelBox& box, std::string_view label, std::int64_t index);
/// Mixes each pixel with the colour of its class: `share` of it. Class 0, the background, stays as it is.
/// `classes`: one of each pixel, row by row; throws ArgumentError for another number of them.
void overlay_classes(Image& image, std::span<const std::int64_t> classes, double share = 0.5);

}  // namespace dlcuda

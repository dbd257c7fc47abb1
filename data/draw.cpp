#include "dlcuda/data/draw.h"

#include <algorithm>
#include <cmath>

#include "dlcuda/core/check.h"
#include "dlcuda/data/glyphs.h"

namespace dlcuda {
namespace {

void check_rgb(const Image& image) {
  DLCUDA_CHECK(image.shape.channels == 3 && image.pixels.size() == image.shape.pixels(), ArgumentError,
               "drawing: expected a picture of 3 channels, got {} with {} bytes of pixels",
               to_string(image.shape), image.pixels.size());
}

/// Black or white, whichever is read better on the colour.
Color ink_on(const Color& color) {
  const double light = 0.299 * color[0] + 0.587 * color[1] + 0.114 * color[2];
  return light > 110 ? Color{0, 0, 0} : Color{255, 255, 255};
}

}  // namespace

Color class_color(std::int64_t index) {
  constexpr double kGoldenAngle = 137.50776405;
  // Full saturation; three levels of brightness in turns.
  const double hue = std::fmod(double(index) * kGoldenAngle, 360.0) / 60.0;
  const double value = 255.0 - 45.0 * double(index % 3);
  Color color{};
  for (std::size_t c = 0; c < 3; ++c) {
    // Each component is a trapezium over the circle of hues, a third of it after the one before.
    const double place = std::fmod(hue + 6.0 - 2.0 * double(c), 6.0);
    const double level = std::clamp(2.0 - std::min(place, 6.0 - place), 0.0, 1.0);
    color[c] = std::uint8_t(std::lround(value * level));
  }
  return color;
}

TextSize text_size(std::string_view text, std::int64_t scale) {
  return {std::int64_t(text.size()) * glyphs::kCellWidth * scale, glyphs::kCellHeight * scale};
}

void fill_box(Image& image, const PixelBox& box, const Color& color) {
  check_rgb(image);
  const std::int64_t left = std::max<std::int64_t>(0, box.left), top = std::max<std::int64_t>(0, box.top);
  const std::int64_t right = std::min(image.shape.width, box.right);
  const std::int64_t bottom = std::min(image.shape.height, box.bottom);
  if (left >= right) return;
  for (std::size_t c = 0; c < 3; ++c) {
    for (std::int64_t y = top; y < bottom; ++y) {
      const auto row = image.plane(std::int64_t(c)).subspan(std::size_t(y * image.shape.width + left));
      std::ranges::fill(row.first(std::size_t(right - left)), color[c]);
    }
  }
}

void draw_box(Image& image, const PixelBox& box, const Color& color, std::int64_t thickness) {
  fill_box(image, {box.left, box.top, box.right, std::min(box.top + thickness, box.bottom)}, color);
  fill_box(image, {box.left, std::max(box.bottom - thickness, box.top), box.right, box.bottom}, color);
  fill_box(image, {box.left, box.top, std::min(box.left + thickness, box.right), box.bottom}, color);
  fill_box(image, {std::max(box.right - thickness, box.left), box.top, box.right, box.bottom}, color);
}

void draw_text(Image& image, std::int64_t x, std::int64_t y, std::string_view text, const Color& color,
               std::int64_t scale) {
  check_rgb(image);
  for (const char letter : text) {
    for (std::int64_t row = 0; row < glyphs::kHeight; ++row) {
      for (std::int64_t column = 0; column < glyphs::kWidth; ++column) {
        if (!glyphs::has_ink(letter, row, column)) continue;
        const std::int64_t left = x + column * scale, top = y + (row + 1) * scale;
        fill_box(image, {left, top, left + scale, top + scale}, color);
      }
    }
    x += glyphs::kCellWidth * scale;
  }
}

void draw_labelled_box(Image& image, const PixelBox& box, std::string_view label, std::int64_t index) {
  const std::int64_t scale = std::max<std::int64_t>(1, std::min(image.shape.height, image.shape.width) / 300);
  const Color color = class_color(index);
  draw_box(image, box, color, 2 * scale);
  if (label.empty()) return;
  const TextSize size = text_size(label, scale);
  const std::int64_t strip_width = size.width + 2 * scale;
  const std::int64_t top =
      box.top >= size.height ? box.top - size.height : std::max<std::int64_t>(0, box.top);
  const std::int64_t left = std::max<std::int64_t>(0, std::min(box.left, image.shape.width - strip_width));
  fill_box(image, {left, top, left + strip_width, top + size.height}, color);
  draw_text(image, left + 2 * scale, top, label, ink_on(color), scale);
}

void overlay_classes(Image& image, std::span<const std::int64_t> classes, double share) {
  check_rgb(image);
  DLCUDA_CHECK(classes.size() == image.plane_size(), ArgumentError,
               "overlay_classes: a picture of {} needs {} classes, got {}", to_string(image.shape),
               image.plane_size(), classes.size());
  for (std::size_t i = 0; i < classes.size(); ++i) {
    if (classes[i] == 0) continue;
    const Color color = class_color(classes[i]);
    for (std::size_t c = 0; c < 3; ++c) {
      std::uint8_t& pixel = image.plane(std::int64_t(c))[i];
      pixel = std::uint8_t(std::lround((1 - share) * pixel + share * color[c]));
    }
  }
}

}  // namespace dlcuda

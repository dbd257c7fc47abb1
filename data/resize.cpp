#include "dlcuda/data/resize.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "dlcuda/core/check.h"

namespace dlcuda {
namespace {

// Weights are whole numbers of 2^-22: a sum of 8-bit pixels so weighted fits 32 bits.
constexpr int kWeightBits = 22;

/// The pixels that make one pixel of the result.
struct Window {
  std::int64_t first = 0;
  std::vector<std::int32_t> weights;  // sum: 1
};

std::vector<Window> windows(std::int64_t from, std::int64_t to) {
  const double scale = double(from) / double(to);
  const double reach = std::max(scale, 1.0);  // half the triangle's width
  std::vector<Window> result(std::size_t(to), Window{});
  for (std::int64_t i = 0; i < to; ++i) {
    const double center = (double(i) + 0.5) * scale;
    Window& window = result[std::size_t(i)];
    window.first = std::max<std::int64_t>(0, std::int64_t(center - reach + 0.5));
    const std::int64_t end = std::min(from, std::int64_t(center + reach + 0.5));
    std::vector<double> triangle;
    double sum = 0;
    for (std::int64_t j = window.first; j < end; ++j) {
      triangle.push_back(std::max(0.0, 1.0 - std::abs(double(j) + 0.5 - center) / reach));
      sum += triangle.back();
    }
    for (const double height : triangle) {
      window.weights.push_back(std::int32_t(height / sum * double(1 << kWeightBits) + 0.5));
    }
  }
  return result;
}

std::uint8_t to_pixel(std::int32_t sum) { return std::uint8_t(std::clamp(sum >> kWeightBits, 0, 255)); }
constexpr std::int32_t kHalf = 1 << (kWeightBits - 1);

Image empty_image(const Image& like, std::int64_t height, std::int64_t width) {
  Image image{{like.shape.channels, height, width}, {}};
  image.pixels.resize(image.shape.pixels());
  return image;
}

Image resize_columns(const Image& image, std::int64_t width) {
  const std::vector<Window> columns = windows(image.shape.width, width);
  Image result = empty_image(image, image.shape.height, width);
  const std::int64_t lines = image.shape.channels * image.shape.height;
  std::uint8_t* to = result.pixels.data();
  for (std::int64_t line = 0; line < lines; ++line) {
    const std::uint8_t* const row = image.pixels.data() + line * image.shape.width;
    for (const Window& window : columns) {
      std::int32_t sum = kHalf;
      const std::uint8_t* pixel = row + window.first;
      for (const std::int32_t weight : window.weights) sum += weight * *pixel++;
      *to++ = to_pixel(sum);
    }
  }
  return result;
}

Image resize_rows(const Image& image, std::int64_t height) {
  const std::vector<Window> rows = windows(image.shape.height, height);
  const auto width = std::size_t(image.shape.width);
  Image result = empty_image(image, height, image.shape.width);
  std::vector<std::int32_t> sums(width);
  std::uint8_t* to = result.pixels.data();
  for (std::int64_t c = 0; c < image.shape.channels; ++c) {
    for (const Window& window : rows) {
      std::ranges::fill(sums, kHalf);
      const std::uint8_t* pixel = image.plane(c).data() + std::size_t(window.first) * width;
      for (const std::int32_t weight : window.weights) {
        for (std::size_t x = 0; x < width; ++x) sums[x] += weight * *pixel++;
      }
      for (const std::int32_t sum : sums) *to++ = to_pixel(sum);
    }
  }
  return result;
}

void check_target(const char* what, std::int64_t height, std::int64_t width) {
  DLCUDA_CHECK(height > 0 && width > 0, ArgumentError, "{}: {} x {} pixels are no picture", what, height,
               width);
}

}  // namespace

Image resize_image(const Image& image, std::int64_t height, std::int64_t width) {
  check_target("resize_image", height, width);
  const bool same_width = width == image.shape.width, same_height = height == image.shape.height;
  if (same_width && same_height) return image;
  if (same_width) return resize_rows(image, height);
  const Image columns = resize_columns(image, width);
  return same_height ? columns : resize_rows(columns, height);
}

Image resize_shorter_side(const Image& image, std::int64_t side) {
  DLCUDA_CHECK(side > 0, ArgumentError, "resize_shorter_side: the side must be positive, got {}", side);
  const std::int64_t height = image.shape.height, width = image.shape.width;
  const std::int64_t longer =
      std::int64_t(double(side) * double(std::max(height, width)) / double(std::min(height, width)));
  constexpr std::int64_t kLongest = std::int64_t(1) << 20;
  DLCUDA_CHECK(
      longer <= kLongest, ArgumentError,
      "resize_shorter_side: a picture of {} x {} pixels is too narrow: with a shorter side of {} the longer "
      "one would have {}",
      width, height, side, longer);
  return height <= width ? resize_image(image, side, longer) : resize_image(image, longer, side);
}

Image center_crop(const Image& image, std::int64_t height, std::int64_t width) {
  check_target("center_crop", height, width);
  DLCUDA_CHECK(height <= image.shape.height && width <= image.shape.width, ArgumentError,
               "center_crop: a picture of {} x {} pixels has none of {} x {} in it", image.shape.width,
               image.shape.height, width, height);
  // A half is rounded to the even number.
  const auto margin = [](std::int64_t whole, std::int64_t part) {
    return std::int64_t(std::nearbyint(double(whole - part) / 2.0));
  };
  const std::int64_t top = margin(image.shape.height, height), left = margin(image.shape.width, width);
  Image result = empty_image(image, height, width);
  for (std::int64_t c = 0; c < image.shape.channels; ++c) {
    for (std::int64_t y = 0; y < height; ++y) {
      const auto row =
          image.plane(c).subspan(std::size_t((top + y) * image.shape.width + left), std::size_t(width));
      std::copy(row.begin(), row.end(), result.plane(c).begin() + y * width);
    }
  }
  return result;
}

}  // namespace dlcuda

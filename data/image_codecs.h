// The formats behind data/image_file.h, a source file each, and the only ones that see the formats'
// libraries. Internal.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "dlcuda/core/check.h"
#include "dlcuda/data/image_file.h"

namespace dlcuda::image_codecs {

using Bytes = std::span<const std::uint8_t>;

struct Decoded {
  Image image;          ///< 1 channel or 3
  int orientation = 1;  ///< EXIF's, 1 to 8
};

bool is_jpeg(Bytes file);
/// `path` is for messages.
Decoded decode_jpeg(const std::string& path, Bytes file, std::int64_t max_pixels);

bool is_png(Bytes file);
Decoded decode_png(const std::string& path, Bytes file, std::int64_t max_pixels);
std::vector<std::uint8_t> encode_png(const Image& image);

/// The orientation that a TIFF structure (behind "Exif\0\0") holds; 1 where it holds none or makes no sense.
int exif_orientation(Bytes tiff);

/// What both formats ask before they allocate anything.
inline void check_extents(const std::string& path, const char* format, std::int64_t width,
                          std::int64_t height, std::int64_t max_pixels) {
  DLCUDA_CHECK(width > 0 && height > 0, FormatError, "{}: a {} of {} x {} pixels", path, format, width,
               height);
  DLCUDA_CHECK(width <= max_pixels / height, FormatError,
               "{}: a {} of {} x {} pixels, more than the {} that are allowed", path, format, width, height,
               max_pixels);
}

/// Interleaved pixels of one row to planes.
inline void put_row(Bytes row, std::int64_t y, Image& image) {
  const auto channels = std::size_t(image.shape.channels), width = std::size_t(image.shape.width);
  for (std::size_t c = 0; c < channels; ++c) {
    const auto target = image.plane(std::int64_t(c)).subspan(std::size_t(y) * width, width);
    for (std::size_t x = 0; x < width; ++x) target[x] = row[x * channels + c];
  }
}

}  // namespace dlcuda::image_codecs

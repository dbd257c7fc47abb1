// Pictures in files: JPEG and PNG into 8-bit planes as datasets have them, and planes into PNG.
//
// Files are taken for hostile: nothing is allocated for a picture before its extents have been held against
// the limit and against what so many bytes can encode at most, and a stream that is cut off or corrupt is a
// FormatError and not half a picture.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <vector>

#include "dlcuda/core/macros.h"
#include "dlcuda/data/dataset.h"

namespace dlcuda DLCUDA_API {

/// Pixels lie channel by channel, row by row.
struct Image {
  ImageShape shape;
  std::vector<std::uint8_t> pixels;

  std::span<const std::uint8_t> plane(std::int64_t channel) const {
    return std::span(pixels).subspan(std::size_t(channel) * plane_size(), plane_size());
  }
  std::span<std::uint8_t> plane(std::int64_t channel) {
    return std::span(pixels).subspan(std::size_t(channel) * plane_size(), plane_size());
  }
  std::size_t plane_size() const { return std::size_t(shape.height) * std::size_t(shape.width); }
};

struct ImageReadOptions {
  std::int64_t channels = 3;              ///< 3: red, green, blue; 1: grey
  std::int64_t max_pixels = 178'956'970;  ///< height times width; a gigabyte of 6-byte pixels
  /// Turns and mirrors the picture as its EXIF data say. Off, pixels come as they are stored, which is what
  /// training data are read like everywhere.
  bool apply_orientation = false;
};

/// Reads a picture; whether it is JPEG or PNG is seen from its first bytes, not from its name.
///
/// JPEG: baseline and progressive, 8 bits, grey, YCbCr, RGB, CMYK and YCCK (inverted, where Adobe's marker is
/// there); no arithmetic coding. PNG: all kinds, interlaced too; palettes are looked up, 16 bits are rounded
/// to 8, fewer are spread to 8, transparency is left out. Gamma and colour profiles are not applied. Grey of
/// colour is 0.299 R + 0.587 G + 0.114 B.
///
/// Throws IoError for a file that is missing or unreadable, FormatError (path, what was wrong) for one that
/// is neither, corrupt, cut off or too large, ArgumentError for channels other than 1 and 3.
Image read_image(const std::filesystem::path& path, const ImageReadOptions& options = {});

/// Writes 8-bit grey (1 channel) or RGB (3), lossless. The file replaces what stood under the name only when
/// it is complete. Throws ArgumentError for other channels, empty extents and pixels that do not fit them,
/// IoError.
void write_png(const std::filesystem::path& path, const Image& image);

}  // namespace dlcuda

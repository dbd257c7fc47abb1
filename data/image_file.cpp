#include "dlcuda/data/image_file.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "dlcuda/core/check.h"
#include "dlcuda/core/file.h"
#include "dlcuda/data/image_codecs.h"

namespace dlcuda {
namespace {

using image_codecs::Bytes;

std::vector<std::uint8_t> read_whole(const InputFile& file) {
  DLCUDA_CHECK(file.size() > 0, FormatError, "{}: the file is empty", file.path());
  // No picture within the limit needs as much.
  constexpr std::uint64_t kMostBytes = std::uint64_t(1) << 31;
  DLCUDA_CHECK(file.size() <= kMostBytes, FormatError, "{}: {} bytes are too many for a picture", file.path(),
               file.size());
  std::vector<std::uint8_t> bytes(file.size());
  bytes.resize(file.read_at(0, std::as_writable_bytes(std::span(bytes))));
  return bytes;
}

/// Grey as of ITU-R BT.601, rounded.
Image to_grey(const Image& from) {
  Image grey{{1, from.shape.height, from.shape.width}, {}};
  grey.pixels.resize(grey.shape.pixels());
  const auto red = from.plane(0), green = from.plane(1), blue = from.plane(2);
  for (std::size_t i = 0; i < grey.pixels.size(); ++i) {
    // 0.299, 0.587 and 0.114 in units of 2^-16
    grey.pixels[i] = std::uint8_t((19595u * red[i] + 38470u * green[i] + 7471u * blue[i] + 0x8000u) >> 16);
  }
  return grey;
}

Image to_channels(Image from, std::int64_t channels) {
  if (from.shape.channels == channels) return from;
  if (channels == 1) return to_grey(from);
  const std::vector<std::uint8_t> grey = from.pixels;
  for (int copy = 0; copy < 2; ++copy) {
    from.pixels.insert(from.pixels.end(), grey.begin(), grey.end());
  }
  from.shape.channels = 3;
  return from;
}

/// EXIF's orientations: 2 mirrored, 3 upside down, 4 both; 5 to 8 the same of a picture whose axes are
/// exchanged.
Image oriented(Image from, int orientation) {
  if (orientation == 1) return from;
  const bool exchanged = orientation >= 5;
  const bool right_to_left = orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
  const bool bottom_up = orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
  const std::int64_t height = from.shape.height, width = from.shape.width;
  Image to{{from.shape.channels, exchanged ? width : height, exchanged ? height : width}, {}};
  to.pixels.resize(from.pixels.size());
  for (std::int64_t c = 0; c < from.shape.channels; ++c) {
    const auto source = from.plane(c);
    const auto target = to.plane(c);
    for (std::int64_t y = 0, i = 0; y < to.shape.height; ++y) {
      for (std::int64_t x = 0; x < to.shape.width; ++x, ++i) {
        std::int64_t row = exchanged ? x : y, column = exchanged ? y : x;
        if (bottom_up) row = height - 1 - row;
        if (right_to_left) column = width - 1 - column;
        target[std::size_t(i)] = source[std::size_t(row * width + column)];
      }
    }
  }
  return to;
}

}  // namespace

namespace image_codecs {

int exif_orientation(Bytes tiff) {
  if (tiff.size() < 8) return 1;
  const bool little = tiff[0] == 'I';
  // Beyond the end: 0, which means nothing anywhere here.
  const auto number = [&](std::size_t at, int bytes) {
    std::uint32_t value = 0;
    for (int i = 0; i < bytes; ++i) {
      const std::size_t place = at + std::size_t(little ? bytes - 1 - i : i);
      value = value << 8 | (place < tiff.size() ? tiff[place] : 0u);
    }
    return value;
  };
  constexpr std::uint32_t kOrientation = 0x0112, kShort = 3;
  constexpr std::size_t kEntryBytes = 12;
  const std::size_t folder = number(4, 4);
  const std::uint32_t entries = number(folder, 2);
  for (std::uint32_t i = 0; i < entries; ++i) {
    const std::size_t entry = folder + 2 + i * kEntryBytes;
    if (entry + kEntryBytes > tiff.size()) return 1;
    if (number(entry, 2) != kOrientation || number(entry + 2, 2) != kShort) continue;
    const std::uint32_t value = number(entry + 8, 2);
    return value >= 1 && value <= 8 ? int(value) : 1;
  }
  return 1;
}

}  // namespace image_codecs

Image read_image(const std::filesystem::path& path, const ImageReadOptions& options) {
  DLCUDA_CHECK(options.channels == 1 || options.channels == 3, ArgumentError,
               "read_image: pictures are read with 1 channel or 3, not {}", options.channels);
  const InputFile file(path);
  const std::vector<std::uint8_t> bytes = read_whole(file);
  image_codecs::Decoded decoded;
  if (image_codecs::is_jpeg(bytes)) {
    decoded = image_codecs::decode_jpeg(file.path(), bytes, options.max_pixels);
  } else if (image_codecs::is_png(bytes)) {
    decoded = image_codecs::decode_png(file.path(), bytes, options.max_pixels);
  } else {
    DLCUDA_THROW(FormatError, "{}: neither a JPEG nor a PNG", file.path());
  }
  Image image = to_channels(std::move(decoded.image), options.channels);
  return options.apply_orientation ? oriented(std::move(image), decoded.orientation) : image;
}

void write_png(const std::filesystem::path& path, const Image& image) {
  const ImageShape& shape = image.shape;
  DLCUDA_CHECK((shape.channels == 1 || shape.channels == 3) && shape.height > 0 && shape.width > 0 &&
                   image.pixels.size() == shape.pixels(),
               ArgumentError,
               "write_png: expected 1 or 3 channels of at least one pixel, got {} with {} bytes of pixels",
               to_string(shape), image.pixels.size());
  const std::vector<std::uint8_t> encoded = image_codecs::encode_png(image);
  AtomicFile file(path);
  file.write(std::as_bytes(std::span(encoded)));
  file.commit();
}

}  // namespace dlcuda

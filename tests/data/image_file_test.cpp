#include "dlcuda/data/image_file.h"

#include <cstddef>
#include <cstdio>
// jpeglib.h wants FILE and size_t to be known.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <jpeglib.h>
#include <png.h>

#include <array>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "dlcuda/core/error.h"
#include "dlcuda/tests/support/errors.h"
#include "dlcuda/tests/support/file_text.h"
#include "dlcuda/tests/support/temp_folder.h"

namespace dlcuda {
namespace {

using Bytes = std::vector<unsigned char>;

/// Smooth, so that JPEG hardly changes it, and different in every channel.
Image gradient(std::int64_t channels, std::int64_t height, std::int64_t width) {
  Image image{{channels, height, width}, {}};
  for (std::int64_t c = 0; c < channels; ++c) {
    for (std::int64_t y = 0; y < height; ++y) {
      for (std::int64_t x = 0; x < width; ++x) {
        image.pixels.push_back(std::uint8_t((c == 1 ? 200 - 3 * y : 40 + 2 * x + 2 * y + 10 * c) & 0xff));
      }
    }
  }
  return image;
}

std::vector<Bytes> interleaved_rows(const Image& image) {
  std::vector<Bytes> rows;
  for (std::int64_t y = 0; y < image.shape.height; ++y) {
    Bytes row;
    for (std::int64_t x = 0; x < image.shape.width; ++x) {
      for (std::int64_t c = 0; c < image.shape.channels; ++c) {
        row.push_back(image.plane(c)[std::size_t(y * image.shape.width + x)]);
      }
    }
    rows.push_back(row);
  }
  return rows;
}

struct JpegOptions {
  J_COLOR_SPACE from = JCS_RGB, stored = JCS_YCbCr;
  bool progressive = false;
  bool adobe = false;
  Bytes exif = {};
};

Bytes jpeg(const Image& image, const JpegOptions& options = {}) {
  jpeg_compress_struct info{};
  jpeg_error_mgr errors{};
  info.err = jpeg_std_error(&errors);
  jpeg_create_compress(&info);
  unsigned char* buffer = nullptr;
  unsigned long size = 0;
  jpeg_mem_dest(&info, &buffer, &size);
  info.image_width = JDIMENSION(image.shape.width);
  info.image_height = JDIMENSION(image.shape.height);
  info.input_components = int(image.shape.channels);
  info.in_color_space = options.from;
  jpeg_set_defaults(&info);
  jpeg_set_colorspace(&info, options.stored);
  jpeg_set_quality(&info, 95, TRUE);
  info.write_Adobe_marker = options.adobe;
  if (options.progressive) jpeg_simple_progression(&info);
  jpeg_start_compress(&info, TRUE);
  if (!options.exif.empty()) {
    jpeg_write_marker(&info, JPEG_APP0 + 1, options.exif.data(), unsigned(options.exif.size()));
  }
  std::vector<Bytes> rows = interleaved_rows(image);
  for (Bytes& row : rows) {
    JSAMPROW pointer = row.data();
    jpeg_write_scanlines(&info, &pointer, 1);
  }
  jpeg_finish_compress(&info);
  jpeg_destroy_compress(&info);
  Bytes bytes(buffer, buffer + size);
  std::free(buffer);
  return bytes;
}

struct PngOptions {
  int depth = 8, color = PNG_COLOR_TYPE_RGB;
  bool interlaced = false;
  std::vector<png_color> palette = {};
};

/// Rows as they are packed in the file.
Bytes png(std::int64_t height, std::int64_t width, const std::vector<Bytes>& rows,
          const PngOptions& options) {
  png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, nullptr, nullptr, nullptr);
  png_infop info = png_create_info_struct(png);
  Bytes bytes;
  png_set_write_fn(
      png, &bytes,
      [](png_structp to, png_bytep from, std::size_t count) {
        auto& all = *static_cast<Bytes*>(png_get_io_ptr(to));
        all.insert(all.end(), from, from + count);
      },
      nullptr);
  png_set_IHDR(png, info, png_uint_32(width), png_uint_32(height), options.depth, options.color,
               options.interlaced ? PNG_INTERLACE_ADAM7 : PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT,
               PNG_FILTER_TYPE_DEFAULT);
  if (!options.palette.empty()) png_set_PLTE(png, info, options.palette.data(), int(options.palette.size()));
  png_write_info(png, info);
  std::vector<png_bytep> pointers;
  for (const Bytes& row : rows) pointers.push_back(const_cast<png_bytep>(row.data()));
  png_write_image(png, pointers.data());
  png_write_end(png, info);
  png_destroy_write_struct(&png, &info);
  return bytes;
}

Image read_bytes(const Bytes& bytes, const ImageReadOptions& options = {}) {
  const TempFolder folder;
  write_file(folder / "picture", bytes);
  return read_image(folder / "picture", options);
}

void expect_near(const Image& a, const Image& b, int tolerance) {
  ASSERT_EQ(a.shape, b.shape);
  ASSERT_EQ(a.pixels.size(), b.pixels.size());
  int worst = 0;
  for (std::size_t i = 0; i < a.pixels.size(); ++i) {
    worst = std::max(worst, std::abs(int(a.pixels[i]) - int(b.pixels[i])));
  }
  EXPECT_LE(worst, tolerance);
}

TEST(ImageFile, PngComesBackAsItWas) {
  const TempFolder folder;
  for (const std::int64_t channels : {1, 3}) {
    for (const auto& [height, width] : {std::pair{1, 1}, {7, 5}, {31, 64}}) {
      const Image image = gradient(channels, height, width);
      write_png(folder / "a.png", image);
      const Image back = read_image(folder / "a.png", {.channels = channels});
      EXPECT_EQ(back.shape, image.shape);
      EXPECT_EQ(back.pixels, image.pixels);
    }
  }
}

TEST(ImageFile, JpegOfEveryKind) {
  const Image rgb = gradient(3, 37, 53), grey = gradient(1, 37, 53);
  expect_near(read_bytes(jpeg(rgb)), rgb, 12);
  expect_near(read_bytes(jpeg(rgb, {.progressive = true})), rgb, 12);
  expect_near(read_bytes(jpeg(rgb, {.stored = JCS_RGB})), rgb, 4);
  expect_near(read_bytes(jpeg(grey, {.from = JCS_GRAYSCALE, .stored = JCS_GRAYSCALE}), {.channels = 1}), grey,
              4);
}

TEST(ImageFile, FourColourJpegIsMixedWithBlack) {
  Image cmyk{{4, 16, 16}, {}};
  for (const int ink : {255, 51, 0, 102}) cmyk.pixels.insert(cmyk.pixels.end(), 256, std::uint8_t(ink));
  const auto color = [&](bool adobe, J_COLOR_SPACE stored) {
    const Image image = read_bytes(jpeg(cmyk, {.from = JCS_CMYK, .stored = stored, .adobe = adobe}));
    return std::array<int, 3>{image.plane(0)[100], image.plane(1)[100], image.plane(2)[100]};
  };
  // Light of 0, 204 and 255 on a paper of 153 / 255; and, inverted, of 255, 51 and 0 on 102 / 255.
  EXPECT_EQ(color(false, JCS_CMYK), (std::array<int, 3>{0, 122, 153}));
  EXPECT_EQ(color(true, JCS_CMYK), (std::array<int, 3>{102, 20, 0}));
  const auto ycck = color(true, JCS_YCCK);
  EXPECT_NEAR(ycck[0], 102, 3);
  EXPECT_NEAR(ycck[1], 20, 3);
  EXPECT_NEAR(ycck[2], 0, 3);
}

TEST(ImageFile, PngOfEveryKind) {
  // Two pixels, (1, 2, 3) and (250, 100, 0), in all that they can be written as.
  const std::vector<std::uint8_t> planes{1, 250, 2, 100, 3, 0};
  const auto pixels = [](const Bytes& row, const PngOptions& options) {
    return read_bytes(png(1, 2, {row}, options)).pixels;
  };
  EXPECT_EQ(pixels({1, 2, 3, 250, 100, 0}, {}), planes);
  EXPECT_EQ(pixels({1, 2, 3, 0, 250, 100, 0, 200}, {.color = PNG_COLOR_TYPE_RGB_ALPHA}), planes);
  EXPECT_EQ(
      pixels({0x40}, {.depth = 1, .color = PNG_COLOR_TYPE_PALETTE, .palette = {{250, 100, 0}, {1, 2, 3}}}),
      (std::vector<std::uint8_t>{250, 1, 100, 2, 0, 3}));
  // 16 bits: 0x0180 is nearer to 1 than to 2 of 255.
  EXPECT_EQ(pixels({1, 0x80, 2, 2, 3, 3, 250, 250, 100, 100, 0, 0}, {.depth = 16}), planes);
  EXPECT_EQ(pixels({7, 200}, {.color = PNG_COLOR_TYPE_GRAY}),
            (std::vector<std::uint8_t>{7, 200, 7, 200, 7, 200}));
  EXPECT_EQ(pixels({7, 0, 200, 9}, {.color = PNG_COLOR_TYPE_GRAY_ALPHA}),
            (std::vector<std::uint8_t>{7, 200, 7, 200, 7, 200}));
  EXPECT_EQ(pixels({0xb0}, {.depth = 2, .color = PNG_COLOR_TYPE_GRAY}),
            (std::vector<std::uint8_t>{170, 255, 170, 255, 170, 255}));
}

TEST(ImageFile, InterlacedPng) {
  const Image image = gradient(3, 19, 23);
  EXPECT_EQ(read_bytes(png(19, 23, interleaved_rows(image), {.interlaced = true})).pixels, image.pixels);
}

TEST(ImageFile, GreyOfColour) {
  const Image grey =
      read_bytes(png(1, 4, {{255, 0, 0, 0, 255, 0, 0, 0, 255, 255, 255, 255}}, {}), {.channels = 1});
  EXPECT_EQ(grey.shape, (ImageShape{1, 1, 4}));
  EXPECT_EQ(grey.pixels, (std::vector<std::uint8_t>{76, 150, 29, 255}));
}

/// A TIFF folder with one entry, as cameras write it.
Bytes exif(int orientation, bool little) {
  Bytes bytes{'E', 'x', 'i', 'f', 0, 0};
  const auto put = [&](unsigned value, int count) {
    for (int i = 0; i < count; ++i) bytes.push_back((value >> 8 * (little ? i : count - 1 - i)) & 0xff);
  };
  bytes.insert(bytes.end(), 2, little ? 'I' : 'M');
  put(42, 2);
  put(8, 4);
  put(1, 2);
  put(0x0112, 2);
  put(3, 2);
  put(1, 4);
  put(unsigned(orientation), 2);
  put(0, 2);
  put(0, 4);
  return bytes;
}

TEST(ImageFile, OrientationTurnsThePictureUpright) {
  // Bright in one corner, which the orientations name: where the stored picture's upper left corner belongs.
  Image image{{1, 32, 16}, std::vector<std::uint8_t>(32 * 16, 20)};
  for (std::size_t y = 0; y < 8; ++y) std::fill_n(image.pixels.begin() + std::ptrdiff_t(y * 16), 8, 230);
  struct Corner {
    bool right, bottom, exchanged;
  };
  const std::array<Corner, 8> corners{{{false, false, false},
                                       {true, false, false},
                                       {true, true, false},
                                       {false, true, false},
                                       {false, false, true},
                                       {true, false, true},
                                       {true, true, true},
                                       {false, true, true}}};
  for (int orientation = 1; orientation <= 8; ++orientation) {
    SCOPED_TRACE(orientation);
    const Corner& corner = corners[std::size_t(orientation - 1)];
    const Bytes file = jpeg(
        image,
        {.from = JCS_GRAYSCALE, .stored = JCS_GRAYSCALE, .exif = exif(orientation, orientation % 2 == 0)});
    const Image upright = read_bytes(file, {.channels = 1, .apply_orientation = true});
    ASSERT_EQ(upright.shape, corner.exchanged ? (ImageShape{1, 16, 32}) : (ImageShape{1, 32, 16}));
    const std::int64_t y = corner.bottom ? upright.shape.height - 3 : 2;
    const std::int64_t x = corner.right ? upright.shape.width - 3 : 2;
    EXPECT_GT(upright.pixels[std::size_t(y * upright.shape.width + x)], 200);
    EXPECT_EQ(read_bytes(file, {.channels = 1}).shape, image.shape) << "not asked for";
  }
  for (const Bytes& nonsense : {exif(9, true), exif(0, false), Bytes{'E', 'x', 'i', 'f', 0, 0, 'I', 'I'},
                                Bytes{'E', 'x', 'i', 'f', 0, 0, 'I', 'I', 42, 0, 255, 255, 255, 255, 1, 0}}) {
    const Bytes file = jpeg(image, {.from = JCS_GRAYSCALE, .stored = JCS_GRAYSCALE, .exif = nonsense});
    EXPECT_EQ(read_bytes(file, {.channels = 1, .apply_orientation = true}).shape, image.shape);
  }
}

std::vector<std::pair<const char*, Bytes>> good_files() {
  const Image rgb = gradient(3, 40, 56);
  return {{"jpeg", jpeg(rgb)},
          {"progressive jpeg", jpeg(rgb, {.progressive = true})},
          {"png", png(40, 56, interleaved_rows(rgb), {})},
          {"interlaced png", png(40, 56, interleaved_rows(rgb), {.interlaced = true})}};
}

TEST(ImageFile, WhatIsCutOffIsRefusedWhereverThatIs) {
  const TempFolder folder;
  for (const auto& [name, bytes] : good_files()) {
    SCOPED_TRACE(name);
    for (std::size_t size = 0; size + 2 < bytes.size(); size += size < 64 ? 1 : 29) {
      write_file(folder / "cut", std::span(bytes).first(size));
      const std::string message = message_of<FormatError>([&] { read_image(folder / "cut"); });
      EXPECT_THAT(message, ::testing::HasSubstr("cut")) << size;
    }
  }
}

TEST(ImageFile, FlippedBitsGiveAPictureOrAnError) {
  const TempFolder folder;
  std::mt19937 random(7);
  int refused = 0, read = 0;
  for (const auto& [name, bytes] : good_files()) {
    SCOPED_TRACE(name);
    for (int round = 0; round < 60; ++round) {
      Bytes flipped = bytes;
      for (int flips = 1 + round % 3; flips > 0; --flips) {
        flipped[random() % flipped.size()] ^= static_cast<unsigned char>(1u << random() % 8);
      }
      write_file(folder / "flipped", flipped);
      try {
        const Image image = read_image(folder / "flipped", {.max_pixels = 1 << 20});
        EXPECT_EQ(image.pixels.size(), image.shape.pixels());
        ++read;
      } catch (const FormatError&) {
        ++refused;
      }
    }
  }
  EXPECT_GT(refused, 40);
  EXPECT_GT(read, 0) << "JPEG has no checksums";
}

TEST(ImageFile, ExtentsAreHeldAgainstTheLimitAndTheFile) {
  const TempFolder folder;
  Bytes huge_png = png(1, 1, {{1, 2, 3}}, {});
  // IHDR's width and height; its checksum is made anew, so that nothing else is wrong.
  const auto set_extents = [&](unsigned width, unsigned height) {
    for (int i = 0; i < 4; ++i) {
      huge_png[std::size_t(16 + i)] = (width >> (24 - 8 * i)) & 0xff;
      huge_png[std::size_t(20 + i)] = (height >> (24 - 8 * i)) & 0xff;
    }
    unsigned long crc = 0xffffffffu;
    for (std::size_t i = 12; i < 29; ++i) {
      crc ^= huge_png[i];
      for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0u);
    }
    crc ^= 0xffffffffu;
    for (int i = 0; i < 4; ++i) huge_png[std::size_t(29 + i)] = (crc >> (24 - 8 * i)) & 0xff;
    write_file(folder / "huge.png", huge_png);
  };
  set_extents(1000000, 1000000);
  expect_error<FormatError>([&] { read_image(folder / "huge.png"); }, "1000000 x 1000000", "allowed");
  set_extents(12000, 12000);
  expect_error<FormatError>([&] { read_image(folder / "huge.png"); }, "cannot hold 12000 x 12000");
  set_extents(20, 20);
  expect_error<FormatError>([&] { read_image(folder / "huge.png", {.max_pixels = 399}); }, "20 x 20", "399");

  Bytes huge_jpeg = jpeg(gradient(3, 16, 16));
  for (std::size_t i = 0; i + 8 < huge_jpeg.size(); ++i) {
    if (huge_jpeg[i] != 0xff || huge_jpeg[i + 1] != 0xc0) continue;
    huge_jpeg[i + 5] = huge_jpeg[i + 7] = 0x2e;  // 11,776 and some
    break;
  }
  write_file(folder / "huge.jpg", huge_jpeg);
  expect_error<FormatError>([&] { read_image(folder / "huge.jpg"); }, "huge.jpg", "cannot hold");
}

TEST(ImageFile, WhatIsNoPicture) {
  const TempFolder folder;
  expect_error<IoError>([&] { read_image(folder / "missing.jpg"); }, "missing.jpg");
  expect_error<IoError>([&] { read_image(folder.path()); }, "folder");
  write_text(folder / "empty", "");
  expect_error<FormatError>([&] { read_image(folder / "empty"); }, "empty");
  write_text(folder / "words.jpg", "these are words and no picture");
  expect_error<FormatError>([&] { read_image(folder / "words.jpg"); }, "words.jpg",
                            "neither a JPEG nor a PNG");
  EXPECT_THROW(read_image(folder / "words.jpg", {.channels = 4}), ArgumentError);
  EXPECT_THROW(write_png(folder / "a.png", Image{{2, 1, 1}, {1, 2}}), ArgumentError);
  EXPECT_THROW(write_png(folder / "a.png", Image{{1, 2, 2}, {1, 2}}), ArgumentError);
  EXPECT_THROW(write_png(folder / "none" / "a.png", gradient(1, 2, 2)), IoError);
}

TEST(ImageFile, RealPictures) {
  const auto folder = shared_data_folder();
  const auto jpeg_file = folder / "bccd/BCCD/JPEGImages/BloodImage_00000.jpg";
  const auto png_file = folder / "isbi-membrane/label/15.png";
  if (!std::filesystem::exists(jpeg_file) || !std::filesystem::exists(png_file)) {
    GTEST_SKIP() << "no pictures in " << folder;
  }
  const Image photo = read_image(jpeg_file);
  EXPECT_EQ(photo.shape, (ImageShape{3, 480, 640}));
  const Image mask = read_image(png_file, {.channels = 1});
  EXPECT_EQ(mask.shape, (ImageShape{1, 512, 512}));
  for (const std::uint8_t pixel : mask.pixels) ASSERT_TRUE(pixel == 0 || pixel == 255) << int(pixel);
}

}  // namespace
}  // namespace dlcuda

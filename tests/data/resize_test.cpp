#include "dlcuda/data/resize.h"

#include <gtest/gtest.h>

#include <numeric>

#include "dlcuda/core/error.h"

namespace dlcuda {
namespace {

using Pixels = std::vector<std::uint8_t>;

Image row(const Pixels& pixels) { return {{1, 1, std::int64_t(pixels.size())}, pixels}; }
Image column(const Pixels& pixels) { return {{1, std::int64_t(pixels.size()), 1}, pixels}; }

// Expected values: PIL 13's Image.resize(..., BILINEAR).
TEST(Resize, WeighsPixelsByATriangle) {
  const Pixels values{0, 10, 50, 255, 100, 3};
  const auto both_ways = [&](std::int64_t size) {
    const Pixels pixels = resize_image(row(values), 1, size).pixels;
    EXPECT_EQ(resize_image(column(values), size, 1).pixels, pixels);
    return pixels;
  };
  EXPECT_EQ(both_ways(12), (Pixels{0, 3, 8, 20, 40, 101, 204, 216, 139, 76, 27, 3}));
  EXPECT_EQ(both_ways(6), values);
  EXPECT_EQ(both_ways(5), (Pixels{2, 24, 153, 155, 24}));
  EXPECT_EQ(both_ways(3), (Pixels{11, 128, 81}));
  EXPECT_EQ(both_ways(2), (Pixels{48, 108}));
}

TEST(Resize, ConstantPicturesStayConstant) {
  for (const int value : {0, 1, 128, 255}) {
    const Image image{{3, 13, 17}, Pixels(3 * 13 * 17, std::uint8_t(value))};
    for (const auto& [height, width] : {std::pair{1, 1}, {5, 40}, {13, 3}, {50, 17}}) {
      const Image resized = resize_image(image, height, width);
      EXPECT_EQ(resized.shape, (ImageShape{3, height, width}));
      EXPECT_EQ(resized.pixels, Pixels(std::size_t(3 * height * width), std::uint8_t(value)));
    }
  }
}

TEST(Resize, ShrinkingCountsEveryPixel) {
  // Stripes of one pixel: without antialiasing they would survive or vanish as it happens.
  Pixels stripes;
  for (int i = 0; i < 64; ++i) stripes.push_back(i % 2 == 0 ? 255 : 0);
  for (const std::uint8_t pixel : resize_image(row(stripes), 1, 8).pixels) EXPECT_NEAR(pixel, 127, 6);
}

TEST(Resize, ShorterSideInProportion) {
  const auto shape = [](std::int64_t height, std::int64_t width, std::int64_t side) {
    const Image image{{1, height, width}, Pixels(std::size_t(height * width), 9)};
    return resize_shorter_side(image, side).shape;
  };
  EXPECT_EQ(shape(48, 64, 25), (ImageShape{1, 25, 33}));
  EXPECT_EQ(shape(64, 48, 25), (ImageShape{1, 33, 25}));
  EXPECT_EQ(shape(10, 10, 25), (ImageShape{1, 25, 25}));
  EXPECT_THROW(shape(1, 8192, 256), ArgumentError);
  EXPECT_THROW(shape(10, 10, 0), ArgumentError);
}

TEST(Resize, CropsTheMiddle) {
  Image image{{2, 5, 6}, Pixels(60)};
  std::iota(image.pixels.begin(), image.pixels.end(), std::uint8_t(0));
  const Image crop = center_crop(image, 3, 2);
  EXPECT_EQ(crop.pixels, (Pixels{8, 9, 14, 15, 20, 21, 38, 39, 44, 45, 50, 51}));
  // Halves go to the even margin: 0 of 0.5, 2 of 1.5.
  EXPECT_EQ(center_crop(image, 4, 6).pixels.front(), 0);
  EXPECT_EQ(center_crop(image, 2, 6).pixels.front(), 12);
  EXPECT_THROW(center_crop(image, 6, 6), ArgumentError);
  EXPECT_THROW(center_crop(image, 0, 6), ArgumentError);
}

TEST(Resize, NothingIsNoSize) {
  EXPECT_THROW(resize_image(row({1, 2}), 0, 2), ArgumentError);
  EXPECT_THROW(resize_image(row({1, 2}), 1, -2), ArgumentError);
}

}  // namespace
}  // namespace dlcuda

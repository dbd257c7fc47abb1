#include "dlcuda/data/draw.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

#include "dlcuda/core/error.h"

namespace dlcuda {
namespace {

Image black(std::int64_t height, std::int64_t width) {
  Image image{{3, height, width}, {}};
  image.pixels.resize(image.shape.pixels());
  return image;
}

/// Red, row by row: '#' where it is set.
std::string art(const Image& image) {
  std::string text;
  for (std::int64_t y = 0; y < image.shape.height; ++y) {
    for (std::int64_t x = 0; x < image.shape.width; ++x) {
      text += image.pixels[std::size_t(y * image.shape.width + x)] > 0 ? '#' : '.';
    }
    text += '\n';
  }
  return text;
}

constexpr Color kWhite{255, 255, 255};

TEST(Draw, BoxesAreFramesInsideOfTheirEdges) {
  Image image = black(5, 7);
  draw_box(image, {1, 1, 6, 5}, kWhite);
  EXPECT_EQ(art(image), ".......\n.#####.\n.#...#.\n.#...#.\n.#####.\n");
  image = black(5, 7);
  draw_box(image, {0, 0, 7, 5}, kWhite, 2);
  EXPECT_EQ(art(image), "#######\n#######\n##...##\n#######\n#######\n");
}

TEST(Draw, WhatLiesOutsideIsLeftOut) {
  Image image = black(4, 4);
  draw_box(image, {-3, -3, 3, 3}, kWhite);
  EXPECT_EQ(art(image), "..#.\n..#.\n###.\n....\n");
  image = black(4, 4);
  draw_box(image, {10, 10, 20, 20}, kWhite);
  draw_box(image, {3, 3, 1, 1}, kWhite);
  fill_box(image, {2, 0, 2, 9}, kWhite);
  draw_text(image, -50, -50, "far away", kWhite, 3);
  draw_text(image, 1'000'000, 2, "far away", kWhite, 3);
  EXPECT_EQ(art(image), art(black(4, 4)));
}

TEST(Draw, Letters) {
  Image image = black(9, 12);
  draw_text(image, 0, 0, "A1", kWhite);
  EXPECT_EQ(art(image),
            "............\n"
            "..#.....#...\n"
            ".#.#...##...\n"
            "#...#.#.#...\n"
            "#...#...#...\n"
            "#####...#...\n"
            "#...#...#...\n"
            "#...#.#####.\n"
            "............\n");
  EXPECT_EQ(text_size("A1", 3).width, 36);
  EXPECT_EQ(text_size("A1", 3).height, 27);
}

TEST(Draw, EveryPrintableLetterIsDifferent) {
  std::set<std::string> seen;
  for (char letter = ' '; letter <= '~'; ++letter) {
    Image image = black(9, 6);
    draw_text(image, 0, 0, std::string(1, letter), kWhite);
    EXPECT_TRUE(seen.insert(art(image)).second) << letter;
  }
  Image image = black(9, 6);
  draw_text(image, 0, 0, "\xe9", kWhite);
  EXPECT_TRUE(seen.insert(art(image)).second) << "a byte beyond ASCII is a filled cell";
}

TEST(Draw, LabelsStayInThePicture) {
  // Above the box, inside where there is no room above, moved left at the right edge.
  for (const PixelBox& box : {PixelBox{10, 30, 60, 60}, {10, 2, 60, 60}, {90, 30, 99, 60}}) {
    Image image = black(64, 100);
    draw_labelled_box(image, box, "dog", 4);
    const Color color = class_color(4);
    const TextSize size = text_size("dog");
    const std::int64_t top = box.top >= size.height ? box.top - size.height : box.top;
    const std::int64_t left = std::min<std::int64_t>(box.left, 100 - size.width - 2);
    for (std::int64_t c = 0; c < 3; ++c) {
      EXPECT_EQ(image.plane(c)[std::size_t(top * 100 + left)], color[std::size_t(c)]);
      EXPECT_EQ(image.plane(c)[std::size_t((box.bottom - 1) * 100 + box.right - 1)], color[std::size_t(c)]);
    }
  }
}

TEST(Draw, ClassesHaveColoursOfTheirOwn) {
  std::set<Color> colors;
  for (std::int64_t i = 0; i < 100; ++i) EXPECT_TRUE(colors.insert(class_color(i)).second) << i;
  EXPECT_EQ(class_color(0), (Color{255, 0, 0}));
}

TEST(Draw, MasksMixAndLeaveTheBackground) {
  Image image{{3, 1, 3}, {100, 100, 100, 100, 100, 100, 100, 100, 100}};
  overlay_classes(image, std::vector<std::int64_t>{0, 1, 2}, 0.25);
  for (std::size_t x = 0; x < 3; ++x) {
    const Color color = class_color(std::int64_t(x));
    for (std::size_t c = 0; c < 3; ++c) {
      const double expected = x == 0 ? 100 : 75 + 0.25 * color[c];
      EXPECT_NEAR(image.pixels[c * 3 + x], expected, 0.5);
    }
  }
}

TEST(Draw, OnColourPicturesOnly) {
  Image grey{{1, 2, 2}, {1, 2, 3, 4}};
  EXPECT_THROW(fill_box(grey, {0, 0, 1, 1}, kWhite), ArgumentError);
  EXPECT_THROW(draw_text(grey, 0, 0, "a", kWhite), ArgumentError);
  Image image = black(2, 2);
  EXPECT_THROW(overlay_classes(image, std::vector<std::int64_t>{1}), ArgumentError);
}

}  // namespace
}  // namespace dlcuda

#include "dlcuda/data/digits.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "dlcuda/core/error.h"
#include "dlcuda/data/digit_shapes.h"
#include "dlcuda/tests/support/temp_folder.h"

namespace dlcuda {
namespace {

constexpr std::size_t kPixels = kDigitSide * kDigitSide;
using Image = std::array<std::uint8_t, kPixels>;

Image draw(std::uint64_t seed, std::int64_t index) {
  Image image;
  EXPECT_EQ(draw_digit(seed, index, image), index % 10);
  return image;
}

/// FNV-1a.
std::uint64_t hash(std::span<const std::uint8_t> bytes) {
  std::uint64_t value = 0xcbf29ce484222325u;
  for (const std::uint8_t byte : bytes) value = (value ^ byte) * 0x100000001b3u;
  return value;
}

TEST(Digits, AreTheSameOnEveryMachine) {
  EXPECT_EQ(hash(draw(1, 0)), 0x64513dfc68b8d92au);
  EXPECT_EQ(hash(draw(1, 7)), 0x93b5592d4c073c4u);
  EXPECT_EQ(hash(draw(1, 25999)), 0x1fa18aaad8a7713au);
  EXPECT_EQ(hash(draw(42, 123456789012)), 0x78051eebbe0bb001u);
}

TEST(Digits, DoNotDependOnOrderOrThreads) {
  const auto together = generate_digits(3, 100, 40);
  ASSERT_EQ(together->size(), 40);
  std::vector<Image> alone(40);
  std::thread even([&] {
    for (int i = 38; i >= 0; i -= 2) alone[std::size_t(i)] = draw(3, 100 + i);
  });
  for (int i = 39; i >= 0; i -= 2) alone[std::size_t(i)] = draw(3, 100 + i);
  even.join();
  for (int i = 0; i < 40; ++i) {
    Image image;
    EXPECT_EQ(together->read(i, image), i % 10);
    EXPECT_TRUE(image == alone[std::size_t(i)]) << i;
  }
}

TEST(Digits, DifferByIndexAndSeed) {
  std::set<std::uint64_t> hashes;
  for (std::int64_t i = 0; i < 1000; ++i) {
    hashes.insert(hash(draw(1, i)));
    hashes.insert(hash(draw(2, i)));
  }
  EXPECT_EQ(hashes.size(), 2000u);
}

TEST(Digits, HaveInkThatStaysInThePicture) {
  for (std::int64_t i = 0; i < 2000; ++i) {
    const Image image = draw(1, i);
    const auto inked = std::ranges::count_if(image, [](std::uint8_t p) { return p > 110; });
    EXPECT_GT(inked, 8) << i;
    EXPECT_LT(inked, 400) << i;
    // Of the four edge lines, at most a fifth is inked, by a stray stroke or a digit that just touches them.
    int edge = 0;
    for (std::size_t k = 0; k < 28; ++k) {
      for (const std::size_t p : {k, 27 * 28 + k, 28 * k, 28 * k + 27}) edge += image[p] > 110;
    }
    EXPECT_LT(edge, 23) << i;
  }
}

TEST(Digits, RefusesBadArguments) {
  std::vector<std::uint8_t> pixels(783);
  expect_error<ArgumentError>([&] { draw_digit(1, 0, pixels); }, "784", "783");
  pixels.resize(784);
  expect_error<ArgumentError>([&] { draw_digit(1, -1, pixels); }, "-1");
  expect_error<ArgumentError>([] { generate_digits(1, 0, -5); }, "-5");
  expect_error<ArgumentError>([] { generate_digits(1, -3, 5); }, "-3");
}

TEST(DigitShapes, CanBeDrawn) {
  for (int digit = 0; digit < 10; ++digit) {
    EXPECT_GE(digit_shapes(digit).size(), 3u);
    for (const DigitShape& shape : digit_shapes(digit)) {
      ASSERT_FALSE(shape.empty());
      for (const PenStroke& stroke : shape) {
        EXPECT_GE(stroke.size(), 2u);
        std::size_t run = 1;
        for (const PenPoint& point : stroke) {
          EXPECT_LE(++run, kMostRunPoints);
          if (point.corner) run = 1;
          EXPECT_TRUE(point.x >= 0 && point.x <= 1 && point.y >= 0 && point.y <= 1) << digit;
        }
      }
    }
  }
}

/// A linear softmax, trained by plain SGD with momentum; returns its accuracy on images it has not seen.
double linear_softmax_accuracy(std::int64_t train_count, std::int64_t test_count, int epochs) {
  constexpr std::size_t kInputs = kPixels + 1;  // and a bias
  const auto inputs = [](const ImageDataset& set, std::int64_t index, std::array<float, kInputs>& x) {
    Image image;
    const auto label = static_cast<std::size_t>(set.read(index, image));
    for (std::size_t p = 0; p < kPixels; ++p) x[p] = static_cast<float>(image[p]) / 255.0f - 0.11f;
    x[kPixels] = 1.0f;
    return label;
  };
  std::vector<std::array<float, kInputs>> weights(10);
  std::array<float, kInputs> x;
  std::array<float, 10> scores;
  const auto score = [&] {
    for (std::size_t c = 0; c < 10; ++c) {
      // Sixteen sums, so that the compiler may use vectors.
      std::array<float, 16> sums{};
      for (std::size_t p = 0; p + 16 <= kInputs; p += 16) {
        for (std::size_t k = 0; k < 16; ++k) sums[k] += weights[c][p + k] * x[p + k];
      }
      scores[c] = weights[c][kPixels];
      for (const float sum : sums) scores[c] += sum;
    }
  };
  const auto train = generate_digits(1, 0, train_count);
  for (int epoch = 0; epoch < epochs; ++epoch) {
    const float rate = epoch + 3 < epochs ? 0.01f : 0.002f;
    for (std::int64_t i = 0; i < train_count; ++i) {
      // 7919 has no factor in common with the count: every image comes once, in mixed order.
      const std::size_t label = inputs(*train, i * 7919 % train_count, x);
      score();
      const float largest = *std::ranges::max_element(scores);
      float sum = 0;
      for (float& s : scores) sum += s = std::exp(s - largest);
      for (std::size_t c = 0; c < 10; ++c) {
        const float step = rate * (scores[c] / sum - (c == label ? 1.0f : 0.0f));
        for (std::size_t p = 0; p < kInputs; ++p) weights[c][p] -= step * x[p];
      }
    }
  }
  const auto test = generate_digits(1, train_count, test_count);
  std::int64_t right = 0;
  for (std::int64_t i = 0; i < test_count; ++i) {
    const std::size_t label = inputs(*test, i, x);
    score();
    right += std::ranges::max_element(scores) - scores.begin() == std::ptrdiff_t(label);
  }
  return static_cast<double>(right) / static_cast<double>(test_count);
}

TEST(Digits, ALinearModelLearnsSomethingButCannotReadThem) {
  const double accuracy = linear_softmax_accuracy(6000, 2000, 10);
  RecordProperty("accuracy", std::to_string(accuracy));
  EXPECT_GT(accuracy, 0.60);
  EXPECT_LT(accuracy, 0.95);
}

}  // namespace
}  // namespace dlcuda

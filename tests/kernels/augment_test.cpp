#include "dlcuda/kernels/augment.h"

#include <gtest/gtest.h>

#include <limits>
#include <random>

#include "dlcuda/core/error.h"
#include "dlcuda/kernels/copy.h"
#include "dlcuda/tests/support/compare.h"
#include "dlcuda/tests/support/errors.h"

namespace dlcuda::testing {
namespace {

using kernels::Placement;

struct Case {
  Shape from;
  std::int64_t height, width;
};

Tensor random_pictures(const Shape& shape, std::mt19937& random) {
  std::vector<std::uint8_t> pixels(static_cast<std::size_t>(shape.numel()));
  for (auto& pixel : pixels) pixel = static_cast<std::uint8_t>(random());
  return Tensor::from_values(pixels, shape);
}

/// Different in every entry, so that a level of the wrong channel or pixel is seen in any dtype.
Tensor distinct_levels(std::int64_t channels) {
  std::vector<float> levels;
  for (std::int64_t i = 0; i < channels * 256; ++i) levels.push_back(float(i) / 8 - 3.0f);
  return Tensor::from_values(levels, {channels, 256});
}

std::vector<Placement> random_placements(std::int64_t count, const Case& sizes, std::mt19937& random) {
  const auto within = [&](std::int64_t low, std::int64_t high) {
    return std::uniform_int_distribution<std::int32_t>(std::int32_t(low), std::int32_t(high))(random);
  };
  std::vector<Placement> placements;
  for (std::int64_t n = 0; n < count; ++n) {
    placements.push_back({.row = within(-3, 3),
                          .column = within(-3, sizes.from[3] + 3),
                          .top = within(-2, 2),
                          .bottom = within(0, sizes.height + 2),
                          .left = within(-2, 2),
                          .right = within(0, sizes.width + 2),
                          .mirrored = within(0, 1),
                          .fill = within(0, 255)});
  }
  return placements;
}

Tensor as_tensor(const std::vector<Placement>& placements) {
  std::vector<std::int32_t> fields;
  for (const Placement& p : placements) {
    fields.insert(fields.end(), {p.row, p.column, p.top, p.bottom, p.left, p.right, p.mirrored, p.fill});
  }
  return Tensor::from_values(fields, {std::int64_t(placements.size()), kernels::kPlacementFields});
}

/// The definition, pixel by pixel.
std::vector<float> expected(const Tensor& x, const std::vector<Placement>& placements, const Tensor& levels,
                            std::int64_t height, std::int64_t width) {
  const auto pixels = x.values<std::uint8_t>();
  const auto table = levels.values<float>();
  std::vector<float> result;
  for (std::int64_t n = 0; n < x.size(0); ++n) {
    const Placement& p = placements[std::size_t(n)];
    for (std::int64_t c = 0; c < x.size(1); ++c) {
      for (std::int64_t i = 0; i < height; ++i) {
        for (std::int64_t j = 0; j < width; ++j) {
          const std::int64_t row = i + std::int64_t(p.row);
          const std::int64_t column = p.mirrored ? std::int64_t(p.column) - j : std::int64_t(p.column) + j;
          const bool there = p.top <= i && i < p.bottom && p.left <= j && j < p.right && row >= 0 &&
                             row < x.size(2) && column >= 0 && column < x.size(3);
          const std::int64_t at = ((n * x.size(1) + c) * x.size(2) + row) * x.size(3) + column;
          const int level = there ? pixels[std::size_t(at)] : p.fill;
          result.push_back(table[std::size_t(c * 256 + level)]);
        }
      }
    }
  }
  return result;
}

TEST(Augment, PlacesEveryPixelOfEverySizeInEveryLayoutAndDtype) {
  const Case cases[] = {{{1, 1, 1, 1}, 1, 1}, {{2, 3, 5, 7}, 5, 7},  {{3, 1, 4, 4}, 8, 6},
                        {{2, 5, 6, 3}, 4, 3}, {{2, 3, 8, 8}, 8, 16}, {{0, 3, 4, 4}, 4, 4},
                        {{2, 3, 0, 4}, 3, 4}, {{2, 3, 4, 4}, 0, 4}};
  std::mt19937 random(5);
  for (const Case& sizes : cases) {
    const Tensor x = random_pictures(sizes.from, random), levels = distinct_levels(sizes.from[1]);
    const auto placements = random_placements(sizes.from[0], sizes, random);
    const Tensor exact = Tensor::from_values(expected(x, placements, levels, sizes.height, sizes.width),
                                             {sizes.from[0], sizes.from[1], sizes.height, sizes.width});
    for (const Device device : test_devices()) {
      for (const DType dtype : {DType::F32, DType::F16, DType::BF16}) {
        for (const MemoryFormat from : {MemoryFormat::Contiguous, MemoryFormat::ChannelsLast}) {
          for (const MemoryFormat to : {MemoryFormat::Contiguous, MemoryFormat::ChannelsLast}) {
            const Tensor y = kernels::augment(
                kernels::to_format(x, from).to(device), as_tensor(placements).to(device), levels.to(device),
                {.height = sizes.height, .width = sizes.width, .dtype = dtype, .format = to});
            EXPECT_EQ(y.format(), to);
            EXPECT_EQ(y.dtype(), dtype);
            EXPECT_EQ(as_doubles(y), as_doubles(kernels::cast(exact, dtype)))
                << to_string(Variant{device, dtype, to}) << " from " << to_string(sizes.from) << " in "
                << to_string(from);
          }
        }
      }
    }
  }
}

// A placement is data: whatever it holds, nothing outside the picture is read.
TEST(Augment, PlacementsOutOfAllBoundsGiveTheFill) {
  constexpr std::int32_t kLow = std::numeric_limits<std::int32_t>::min(),
                         kHigh = std::numeric_limits<std::int32_t>::max();
  std::vector<Placement> placements;
  for (const std::int32_t row : {kLow, kHigh}) {
    for (const std::int32_t column : {kLow, kHigh}) {
      for (const std::int32_t mirrored : {0, 1}) {
        placements.push_back({row, column, kLow, kHigh, kLow, kHigh, mirrored, 7});
      }
    }
  }
  placements.push_back({0, 0, 2, 1, 2, 1, 0, 7});
  const auto count = std::int64_t(placements.size());
  for (const Device device : test_devices()) {
    Tensor x = Tensor::zeros({count, 2, 3, 4}, DType::U8, device);
    const Tensor levels = distinct_levels(2).to(device);
    const Tensor y = kernels::augment(x, as_tensor(placements).to(device), levels, {.height = 2, .width = 2});
    const auto table = levels.values<float>();
    const auto values = y.values<float>();
    for (std::size_t i = 0; i < values.size(); ++i) EXPECT_EQ(values[i], table[i / 4 % 2 * 256 + 7]);
  }
}

TEST(Augment, SaysWhatIsWrong) {
  for (const Device device : test_devices()) {
    const Tensor x = Tensor::zeros({2, 3, 4, 4}, DType::U8, device);
    const Tensor placements = Tensor::zeros({2, 8}, DType::I32, device);
    const Tensor levels = Tensor::zeros({3, 256}, DType::F32, device);
    using kernels::augment;
    expect_error<DTypeError>([&] { augment(kernels::cast(x, DType::F32), placements, levels, {}); },
                             "augment: x must be u8, got f32");
    expect_error<ShapeError>([&] { augment(x.view({2, 3, 16}), placements, levels, {}); }, "4 axes");
    expect_error<ShapeError>([&] { augment(x, placements.slice(0, 1), levels, {}); },
                             "augment: placements must have shape [2, 8], got [1, 8]");
    expect_error<DTypeError>([&] { augment(x, kernels::cast(placements, DType::I64), levels, {}); },
                             "placements must be i32, got i64");
    expect_error<ShapeError>([&] { augment(x, placements, levels.slice(0, 1), {}); },
                             "levels must have shape [3, 256], got [1, 256]");
    expect_error<DTypeError>([&] { augment(x, placements, kernels::cast(levels, DType::F16), {}); },
                             "levels must be f32, got f16");
    expect_error<ShapeError>([&] { augment(x, placements, levels, {.height = -1, .width = 2}); },
                             "0 to 2^31 - 1, got -1x2");
    expect_error<DTypeError>([&] { augment(x, placements, levels, {.dtype = DType::F64}); },
                             "must be f32, f16 or bf16, got f64");
    if (!device.is_cuda()) continue;
    expect_error<DeviceError>([&] { augment(x, placements.to(Device::cpu()), levels, {}); },
                              "placements is on cpu, expected cuda:0");
    expect_error<DeviceError>([&] { augment(x, placements, levels.to(Device::cpu()), {}); },
                              "levels is on cpu, expected cuda:0");
  }
}

}  // namespace
}  // namespace dlcuda::testing

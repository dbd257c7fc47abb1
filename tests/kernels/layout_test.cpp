// What the table of operations cannot say about moving elements: other dtypes, slices, storage of its own,
// indices that are out of range on CUDA, and what no PyTorch value stands for.
#include "dlcuda/kernels/layout.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <numeric>
#include <random>

#include "dlcuda/core/error.h"
#include "dlcuda/kernels/copy.h"
#include "dlcuda/kernels/indexing.h"
#include "dlcuda/kernels/pad.h"
#include "dlcuda/kernels/resample.h"
#include "dlcuda/layers/functional/layout.h"
#include "dlcuda/tests/support/compare.h"

namespace dlcuda::testing {
namespace {

namespace F = functional;
using kernels::AxisPadding;

constexpr DType kAll[] = {DType::F32, DType::F64, DType::F16, DType::BF16,
                          DType::I32, DType::I64, DType::U8,  DType::Bool};

/// 0, 1, 2, ... 100, 0, 1, ...: held by every dtype but bool.
Tensor counting(const Shape& shape, DType dtype = DType::F32) {
  std::vector<float> values(std::size_t(shape.numel()));
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = float(i % 101);
  return kernels::cast(Tensor::from_values(values, shape), dtype);
}

using Move = std::function<Tensor(const Tensor&)>;

/// What takes an (N, C, H, W) with four channels, height and width even.
const std::vector<std::pair<const char*, Move>> kMoves = {
    {"concat",
     [](const Tensor& x) {
       return kernels::concat(std::vector{x, x}, 1);
     }},
    {"narrow", [](const Tensor& x) { return kernels::narrow(x, -1, 1, 2); }},
    {"pad",
     [](const Tensor& x) {
       return kernels::pad(x, std::array<AxisPadding, 4>{{{}, {}, {1, 2}, {-1, 1}}}, 1);
     }},
    {"crop",
     [](const Tensor& x) {
       return kernels::pad(x, std::array<AxisPadding, 4>{{{}, {-1, 0}, {}, {0, -2}}});
     }},
    {"flip",
     [](const Tensor& x) {
       return kernels::flip(x, std::array{1, 3});
     }},
    {"permute",
     [](const Tensor& x) {
       return kernels::permute(x, std::array{0, 2, 3, 1});
     }},
    {"pixel_shuffle", [](const Tensor& x) { return kernels::pixel_shuffle(x, 2); }},
    {"pixel_unshuffle", [](const Tensor& x) { return kernels::pixel_unshuffle(x, 2); }},
    {"space_to_depth", [](const Tensor& x) { return kernels::space_to_depth(x, 2); }},
    {"depth_to_space", [](const Tensor& x) { return kernels::depth_to_space(x, 2); }},
    {"reorg", [](const Tensor& x) { return F::reorg(x, 2); }},
};

TEST(Layout, MovesEveryDtypeAndSlices) {
  for (const auto& [name, move] : kMoves) {
    const Tensor whole = counting({2, 12, 4, 6});
    const auto expected = move(kernels::contiguous(whole.channel_slice(5, 9))).values<float>();
    for (const Device device : test_devices()) {
      for (const DType dtype : kAll) {
        for (const MemoryFormat format : {MemoryFormat::Contiguous, MemoryFormat::ChannelsLast}) {
          SCOPED_TRACE(std::string(name) + " " + to_string(device) + " " + to_string(dtype) + " " +
                       to_string(format));
          const Tensor on = kernels::to_format(kernels::cast(whole, dtype), format).to(device);
          const Tensor y = move(on.channel_slice(5, 9));
          EXPECT_EQ(y.dtype(), dtype);
          std::vector<double> wanted(expected.begin(), expected.end());
          if (dtype == DType::Bool) {
            for (double& value : wanted) value = value != 0;
          }
          EXPECT_EQ(as_doubles(y.to(Device::cpu())), wanted);
        }
      }
    }
  }
}

TEST(Layout, ResultsShareNothingWithTheirInputs) {
  const Tensor x = counting({2, 4, 4, 4}), row = Tensor::from_values<std::int64_t>({0, 1}, {2});
  const std::vector<Tensor> results{
      kernels::concat(std::vector{x}, 0),
      kernels::narrow(x, 0, 0, 2),
      kernels::pad(x, std::array<AxisPadding, 4>{}),
      kernels::flip(x, std::array<int, 0>{}),
      kernels::permute(x, std::array{0, 1, 2, 3}),
      kernels::pixel_shuffle(x, 1),
      kernels::space_to_depth(x, 1),
      F::reorg(x, 1),
      kernels::resize(x, {4, 4}, kernels::Resample::Nearest),
      kernels::pad_reflect(x, {0, 0, 0, 0}),
      kernels::index_select(x, 0, row),
  };
  for (std::size_t i = 0; i < results.size(); ++i) {
    EXPECT_EQ(results[i].values<float>(), x.values<float>()) << i;
    EXPECT_NE(results[i].data(), x.data()) << i;
  }
}

/// permute() by the book, one element at a time.
std::vector<double> permuted(const Tensor& x, const std::vector<int>& order) {
  const std::vector<double> from = as_doubles(x);
  const Strides strides = dense_strides(x.shape(), MemoryFormat::Contiguous);
  std::vector<double> result(from.size());
  for (std::size_t i = 0; i < result.size(); ++i) {
    std::int64_t rest = std::int64_t(i), at = 0;
    for (int axis = x.rank() - 1; axis >= 0; --axis) {
      const int source = order[std::size_t(axis)];
      at += rest % x.size(source) * strides[std::size_t(source)];
      rest /= x.size(source);
    }
    result[i] = from[std::size_t(at)];
  }
  return result;
}

// Sizes from one element to more than a tile of 32 in the two axes that matter, any axes around them, packs
// of every width: what the copies decide by.
TEST(Layout, PermutesAsByTheBookOnEveryDevice) {
  std::mt19937 random(7);
  const auto pick = [&](std::initializer_list<int> from) { return *(from.begin() + random() % from.size()); };
  for (int round = 0; round < 60; ++round) {
    const int rank = pick({2, 3, 4, 5});
    std::vector<std::int64_t> extents;
    std::int64_t count = 1;
    for (int axis = 0; axis < rank; ++axis) {
      extents.push_back(count > 3000 ? pick({1, 2, 3}) : pick({1, 2, 3, 7, 8, 9, 16, 33, 40}));
      count *= extents.back();
    }
    std::vector<int> order(extents.size());
    std::iota(order.begin(), order.end(), 0);
    std::shuffle(order.begin(), order.end(), random);
    const DType dtype = kAll[std::size_t(pick({0, 2, 4, 5, 6}))];
    const Tensor x = counting(Shape(std::span<const std::int64_t>(extents)), dtype);
    for (const Device device : test_devices()) {
      const Tensor y = kernels::permute(x.to(device), order);
      ASSERT_EQ(as_doubles(y.to(Device::cpu())), permuted(x, order))
          << to_string(x.shape()) << " " << to_string(dtype) << " " << to_string(device) << " round "
          << round;
    }
  }
}

// Runs that begin at every alignment move in packs of their own width.
TEST(Layout, PartsThatBeginAnywhereAreCopiedOnEveryDevice) {
  for (const Device device : test_devices()) {
    for (const DType dtype : {DType::U8, DType::F16, DType::F32, DType::I64}) {
      const Tensor x = counting({5, 64}, dtype), on = x.to(device);
      const auto all = as_doubles(x);
      for (const std::int64_t begin : {0, 1, 2, 4, 8, 16}) {
        for (const std::int64_t length : {1, 2, 4, 12, 16, 31, 32, 48}) {
          const auto part = as_doubles(kernels::narrow(on, 1, begin, length).to(Device::cpu()));
          const Tensor joined = kernels::concat(
              std::vector{kernels::narrow(on, 1, 0, begin), kernels::narrow(on, 1, begin, 64 - begin)}, 1);
          ASSERT_EQ(as_doubles(joined.to(Device::cpu())), all) << to_string(dtype) << " " << begin;
          for (std::int64_t i = 0; i < 5 * length; ++i) {
            ASSERT_EQ(part[std::size_t(i)], all[std::size_t(i / length * 64 + begin + i % length)])
                << to_string(dtype) << " " << begin << " " << length;
          }
        }
      }
    }
  }
}

TEST(Layout, InfinityMovesAsItIsOnEveryDevice) {
  constexpr float kInf = std::numeric_limits<float>::infinity();
  const Tensor x = Tensor::from_values<float>({kInf, 1, 2, -kInf}, {1, 1, 2, 2});
  for (const Device device : test_devices()) {
    EXPECT_EQ(kernels::resize(x.to(device), {2, 3}, kernels::Resample::Nearest).values<float>(),
              (std::vector<float>{kInf, kInf, 1, 2, 2, -kInf}));
    EXPECT_EQ(kernels::pad_reflect(x.to(device), {0, 1, 0, 0}).values<float>(),
              (std::vector<float>{1, kInf, 1, -kInf, 2, -kInf}));
  }
}

// Where in / out has no exact f32, elements and outputs must still find each other both ways.
TEST(Layout, NearestCountsEveryOutputOnceInItsGradient) {
  std::mt19937 random(3);
  for (const Device device : test_devices()) {
    for (int round = 0; round < 40; ++round) {
      const std::int64_t in = 1 + std::int64_t(random() % 700), out = 1 + std::int64_t(random() % 700);
      std::vector<float> places(static_cast<std::size_t>(in));
      std::iota(places.begin(), places.end(), 0.0f);
      const Tensor x = Tensor::from_values(places, {1, 1, 1, in}, device);
      const auto seen = kernels::resize(x, {1, out}, kernels::Resample::Nearest).values<float>();
      std::vector<float> expected(places.size());
      for (const float place : seen) expected[std::size_t(place)] += 1;
      const Tensor ones =
          Tensor::from_values(std::vector<float>(std::size_t(out), 1.0f), {1, 1, 1, out}, device);
      EXPECT_EQ(kernels::resize_backward(ones, x.shape(), kernels::Resample::Nearest).values<float>(),
                expected)
          << in << " to " << out << " on " << to_string(device);
    }
  }
}

class IndexOnCuda : public ::testing::Test {
 protected:
  void SetUp() override {
    const CudaForTest cuda = cuda_for_test();
    if (!cuda.available) GTEST_SKIP() << cuda.reason;
  }
  const Device gpu = Device::cuda();
  const std::vector<std::int64_t> bad{
      2, -1, 0, 3, std::numeric_limits<std::int64_t>::min(), std::numeric_limits<std::int64_t>::max()};
  Tensor index() const { return Tensor::from_values(bad, {6}, gpu); }
};

TEST_F(IndexOnCuda, OutOfRangeReadsNothingAndGivesNan) {
  const Tensor x = Tensor::from_values<float>({1, 2, 3}, {3}, gpu);
  for (const Tensor& y : {kernels::gather(x, 0, index()), kernels::index_select(x, 0, index())}) {
    const auto values = y.values<float>();
    EXPECT_EQ(values[0], 3);
    EXPECT_EQ(values[2], 1);
    for (const std::size_t i : {1, 3, 4, 5}) EXPECT_TRUE(std::isnan(values[i])) << i;
  }
  EXPECT_EQ(kernels::index_select(kernels::cast(x, DType::I32), 0, index()).values<std::int32_t>(),
            (std::vector<std::int32_t>{3, 0, 1, 0, 0, 0}));
  const auto hot = kernels::one_hot(index(), 3).values<float>();
  for (std::size_t row = 0; row < 6; ++row) {
    for (std::size_t c = 0; c < 3; ++c) {
      const float value = hot[row * 3 + c];
      if (row == 0 || row == 2) {
        EXPECT_EQ(value, std::int64_t(c) == bad[row] ? 1 : 0);
      } else {
        EXPECT_TRUE(std::isnan(value));
      }
    }
  }
}

TEST_F(IndexOnCuda, OutOfRangeReachesNoGradient) {
  const Tensor dy = Tensor::from_values<float>({1, 2, 4, 8, 16, 32}, {6}, gpu);
  const std::vector<float> expected{4, 0, 1};
  EXPECT_EQ(kernels::gather_backward(dy, {3}, 0, index()).values<float>(), expected);
  EXPECT_EQ(kernels::index_select_backward(dy, {3}, 0, index()).values<float>(), expected);
}

TEST(Layout, RefusesWhatWouldOverflow) {
  const std::int64_t huge = std::numeric_limits<std::int64_t>::max();
  const auto padded = [](std::int64_t before, std::int64_t after) {
    return kernels::pad(Tensor::zeros({3}), std::array{AxisPadding{before, after}});
  };
  EXPECT_THROW(padded(huge, 1), ShapeError);
  EXPECT_THROW(padded(1, huge), ShapeError);
  EXPECT_THROW(padded(-huge - 1, 0), ShapeError);
  EXPECT_THROW(padded(-2, -2), ShapeError);
  EXPECT_THROW(F::pad(Tensor::zeros({3}).set_requires_grad(), std::array{AxisPadding{0, -huge - 1}}),
               ShapeError);
  EXPECT_EQ(padded(-3, 1).shape(), (Shape{1}));
  EXPECT_THROW(kernels::pixel_shuffle(Tensor::zeros({1, 4, 2, 2}), std::int64_t{1} << 32), ArgumentError);
  EXPECT_THROW(kernels::space_to_depth(Tensor::zeros({0, std::int64_t{1} << 40, 0, 0}), 1 << 15), ShapeError);
  EXPECT_THROW(kernels::concat(std::vector{Tensor::zeros({0, huge}), Tensor::zeros({0, 1})}, 1), ShapeError);
  EXPECT_THROW(kernels::narrow(Tensor::zeros({3}), 0, 1, huge), ShapeError);
}

TEST(Layout, ScaledSizeRoundsDown) {
  EXPECT_EQ(kernels::scaled_size({1, 1, 5, 7}, {2, 0.5}), (std::array<std::int64_t, 2>{10, 3}));
  EXPECT_THROW(kernels::scaled_size({1, 1, 5, 7}, {0.1, 1}), ShapeError);
  EXPECT_THROW(kernels::scaled_size({1, 1, 5, 7}, {1, 1e300}), ShapeError);
  EXPECT_THROW(kernels::scaled_size({5, 7}, {1, 1}), ShapeError);
  for (const double bad : {0.0, -1.0, std::numeric_limits<double>::infinity(), double(NAN)}) {
    EXPECT_THROW(kernels::scaled_size({1, 1, 5, 7}, {1, bad}), ArgumentError) << bad;
  }
}

// From and into either format, into a part of a tensor whose other channels stay as they are.
TEST(Layout, CopyWindowWritesIntoAChannelSlice) {
  for (const DType dtype : {DType::F32, DType::BF16, DType::I64}) {
    const Tensor source = counting({2, 3, 5, 6}, dtype);
    const std::array<AxisPadding, 4> crop = {{{}, {}, {-1, -2}, {-2, 0}}};
    const auto expected = as_doubles(kernels::cast(kernels::pad(source, crop), DType::F64));
    for (const Device device : test_devices()) {
      for (const MemoryFormat from : {MemoryFormat::Contiguous, MemoryFormat::ChannelsLast}) {
        for (const MemoryFormat to : {MemoryFormat::Contiguous, MemoryFormat::ChannelsLast}) {
          SCOPED_TRACE(to_string(device) + " " + to_string(dtype) + " " + to_string(from) + " " +
                       to_string(to));
          const Tensor x = kernels::to_format(source, from).to(device);
          const Tensor all = Tensor::zeros({2, 5, 2, 4}, dtype, device, to);
          Tensor slice = all.channel_slice(1, 4);
          const auto version = all.version();
          kernels::copy_window(slice, x, 1, 2);
          EXPECT_GT(all.version(), version);
          const auto channels = [&](std::int64_t begin, std::int64_t end) {
            const Tensor some = kernels::narrow(all.to(Device::cpu()), 1, begin, end - begin);
            return as_doubles(kernels::cast(some, DType::F64));
          };
          EXPECT_EQ(channels(1, 4), expected);
          for (const std::int64_t c : {0, 4}) EXPECT_EQ(channels(c, c + 1), std::vector<double>(16, 0.0));
        }
      }
    }
  }
}

TEST(Layout, CopyWindowRefusesWhatIsOutside) {
  const Tensor x = counting({2, 3, 5, 6});
  const auto copy = [&](const Shape& shape, std::int64_t top, std::int64_t left) {
    Tensor y = Tensor::zeros(shape);
    kernels::copy_window(y, x, top, left);
  };
  EXPECT_NO_THROW(copy({2, 3, 2, 4}, 3, 2));
  EXPECT_THROW(copy({2, 3, 2, 4}, 4, 2), ShapeError);
  EXPECT_THROW(copy({2, 3, 2, 4}, 3, 3), ShapeError);
  EXPECT_THROW(copy({2, 3, 2, 4}, -1, 0), ShapeError);
  EXPECT_THROW(copy({2, 3, 2, 4}, 0, -1), ShapeError);
  EXPECT_THROW(copy({2, 2, 2, 4}, 0, 0), ShapeError);
  EXPECT_THROW(copy({1, 3, 2, 4}, 0, 0), ShapeError);
}

}  // namespace
}  // namespace dlcuda::testing

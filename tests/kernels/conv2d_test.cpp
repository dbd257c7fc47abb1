#include "dlcuda/kernels/conv2d.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "dlcuda/core/error.h"
#include "dlcuda/core/isa.h"
#include "dlcuda/core/parallel.h"
#include "dlcuda/kernels/copy.h"
#include "dlcuda/kernels/cpu/conv2d_planes.h"
#include "dlcuda/tests/support/compare.h"
#include "dlcuda/tests/support/errors.h"
#include "dlcuda/tests/support/random_tensor.h"

namespace dlcuda::testing {
namespace {

using kernels::Conv2dParams;

struct Config {
  Shape x, weight;
  Conv2dParams params;
};

std::string to_string(const Config& c) {
  return fmt::format("{}{} stride {} padding {} dilation {} groups {}", dlcuda::to_string(c.x),
                     dlcuda::to_string(c.weight), fmt::join(c.params.stride, ","),
                     fmt::join(c.params.padding, ","), fmt::join(c.params.dilation, ","), c.params.groups);
}

/// Every pass of one configuration on integers, as the f64 reference computes it. `factor`: of inputs and
/// weights, so that sums have digits that bf16 does not.
class IntegerCase {
 public:
  explicit IntegerCase(Config config, std::int32_t factor = 1)
      : config_(std::move(config)),
        x_(random_integers(config_.x, 0, DType::F32, factor)),
        weight_(random_integers(config_.weight, 1, DType::F32, factor)),
        bias_(random_integers(Shape{config_.weight[0]}, 2, DType::F32)),
        dy_(random_integers(kernels::conv2d_shape(config_.x, config_.weight, config_.params), 3,
                            DType::F32)) {
    const auto wide = [](const Tensor& t) { return kernels::cast(t, DType::F64); };
    const auto& params = config_.params;
    y_ = kernels::conv2d_forward(wide(x_), wide(weight_), wide(bias_), params);
    y_without_bias_ = kernels::conv2d_forward(wide(x_), wide(weight_), {}, params);
    dx_ = kernels::conv2d_backward_data(wide(dy_), wide(weight_), config_.x, params);
    gradients_ = kernels::conv2d_backward_weight(wide(x_), wide(dy_), config_.weight, params, true);
  }

  /// f32 must give the same numbers; bf16 must give them rounded, since it adds up in f32.
  void expect_equal(Device device, MemoryFormat format, DType dtype = DType::F32) const {
    SCOPED_TRACE(to_string(config_) + " " + dlcuda::to_string(device) + " " + dlcuda::to_string(format));
    const auto& params = config_.params;
    const auto given = [&](const Tensor& t, MemoryFormat as = MemoryFormat::Contiguous) {
      return kernels::to_format(kernels::cast(t, dtype), as).to(device);
    };
    const auto expect_close = [&](const Tensor& actual, const Tensor& expected, const Tolerance& tolerance) {
      const Tensor rounded = kernels::cast(kernels::cast(expected, dtype), DType::F64);
      testing::expect_close(kernels::cast(actual.to(Device::cpu()), DType::F64), rounded, tolerance);
    };
    const Tensor x = given(x_, format), dy = given(dy_, format);
    const Tensor weight = given(weight_), bias = given(bias_);
    const Tolerance exact{0, 0};
    expect_close(kernels::conv2d_forward(x, weight, bias, params), y_, exact);
    expect_close(kernels::conv2d_forward(x, weight, {}, params), y_without_bias_, exact);
    expect_close(kernels::conv2d_backward_data(dy, weight, config_.x, params), dx_, exact);
    for (const bool with_bias : {false, true}) {
      const auto gradients = kernels::conv2d_backward_weight(x, dy, config_.weight, params, with_bias);
      expect_close(gradients.weight, gradients_.weight, exact);
      EXPECT_EQ(gradients.bias.defined(), with_bias);
      if (with_bias) expect_close(gradients.bias, gradients_.bias, exact);
    }
  }

  /// Whether the CPU computes f32 in contiguous format plane by plane.
  bool goes_by_planes() const {
    return kernels::cpu::planes_apply(x_.raw(), weight_.raw(), dy_.raw(), config_.params);
  }

 private:
  Config config_;
  Tensor x_, weight_, bias_, dy_;   // f32
  Tensor y_, y_without_bias_, dx_;  // f64
  kernels::Conv2dWeightGradients gradients_;
};

TEST(Conv2d, LibrariesEqualTheReferenceOnIntegers) {
  const Config configs[] = {
      {Shape{1, 1, 1, 1}, Shape{1, 1, 1, 1}, {}},
      {Shape{2, 31, 9, 9}, Shape{33, 31, 3, 3}, {{1, 1}, {1, 1, 1, 1}, {1, 1}, 1}},
      {Shape{1, 33, 6, 7}, Shape{31, 33, 1, 1}, {}},
      {Shape{1, 257, 3, 3}, Shape{1, 257, 3, 3}, {}},
      {Shape{1, 1, 33, 31}, Shape{257, 1, 5, 5}, {{2, 3}, {2, 2, 2, 2}, {1, 1}, 1}},
      {Shape{3, 8, 11, 12}, Shape{8, 1, 3, 3}, {{2, 2}, {0, 1, 1, 0}, {1, 1}, 8}},
      {Shape{2, 6, 14, 14}, Shape{16, 6, 5, 5}, {}},
      {Shape{2, 12, 10, 10}, Shape{9, 4, 3, 2}, {{1, 2}, {3, 2, 1, 0}, {2, 3}, 3}},
      // Depthwise: several outputs of a channel, dilation, padding beyond the kernel, a kernel without taps
      // for some inputs.
      {Shape{2, 16, 9, 7}, Shape{32, 1, 3, 3}, {{2, 1}, {1, 2, 0, 1}, {1, 1}, 16}},
      {Shape{2, 17, 8, 9}, Shape{17, 1, 3, 2}, {{1, 1}, {4, 3, 1, 5}, {2, 3}, 17}},
      {Shape{1, 32, 13, 12}, Shape{32, 1, 2, 1}, {{5, 3}, {0, 0, 0, 0}, {1, 1}, 32}},
      {Shape{2, 32, 6, 5}, Shape{32, 1, 5, 5}, {{1, 1}, {0, 4, 3, 2}, {1, 1}, 32}},
      // One position, and padding that alone holds most windows.
      {Shape{3, 4, 1, 1}, Shape{20, 4, 3, 3}, {{1, 1}, {2, 2, 2, 2}, {1, 1}, 1}},
      {Shape{2, 24, 5, 6}, Shape{17, 24, 2, 2}, {{2, 2}, {3, 4, 5, 2}, {1, 1}, 1}},
  };
  for (const Config& config : configs) {
    const IntegerCase c(config);
    for (const Device device : test_devices()) {
      for (const MemoryFormat format : {MemoryFormat::Contiguous, MemoryFormat::ChannelsLast}) {
        c.expect_equal(device, format);
      }
    }
  }
}

/// In bf16 the CPU takes products of matrices for some weight gradients, and loops of its own for depthwise
/// convolutions and, on AMX, for pointwise ones.
TEST(Conv2d, Bf16EqualsTheReferenceOnIntegers) {
  const Config configs[] = {
      {Shape{2, 33, 5, 7}, Shape{1, 33, 1, 1}, {}},
      {Shape{3, 40, 6, 4}, Shape{70, 40, 1, 1}, {}},
      {Shape{1, 64, 1, 1}, Shape{9, 64, 1, 1}, {}},
      {Shape{2, 96, 17, 16}, Shape{24, 96, 1, 1}, {}},
      {Shape{2, 32, 5, 5}, Shape{40, 32, 1, 1}, {}},
      // On AMX, pixels go through tiles of 16 and 32: whole ones and what is left of pixels, depth and
      // columns, in all passes; many pixels, many channels, and 31 of them, which have no pairs.
      {Shape{2, 16, 16, 8}, Shape{16, 16, 1, 1}, {}},
      {Shape{1, 32, 16, 16}, Shape{32, 32, 1, 1}, {}},
      {Shape{3, 24, 9, 11}, Shape{144, 24, 1, 1}, {}},
      {Shape{3, 144, 9, 11}, Shape{24, 144, 1, 1}, {}},
      {Shape{1, 2, 17, 19}, Shape{6, 2, 1, 1}, {}},
      {Shape{2, 40, 13, 14}, Shape{31, 40, 1, 1}, {}},
      {Shape{2, 31, 13, 14}, Shape{72, 31, 1, 1}, {}},
      {Shape{1, 34, 16, 17}, Shape{34, 34, 1, 1}, {}},
      {Shape{2, 48, 14, 12}, Shape{528, 48, 1, 1}, {}},
      {Shape{2, 528, 14, 12}, Shape{48, 528, 1, 1}, {}},
      {Shape{2, 48, 32, 33}, Shape{96, 48, 1, 1}, {}},
      {Shape{3, 8, 52, 61}, Shape{20, 8, 1, 1}, {}},
      {Shape{1, 16, 127, 130}, Shape{128, 16, 1, 1}, {}},
      // Windows that are gathered.
      {Shape{2, 96, 7, 6}, Shape{80, 96, 3, 3}, {{1, 1}, {1, 1, 1, 1}, {1, 1}, 1}},
      {Shape{2, 64, 9, 11}, Shape{128, 64, 3, 4}, {{2, 3}, {0, 4, 3, 2}, {2, 1}, 1}},
      {Shape{3, 300, 8, 6}, Shape{250, 300, 1, 1}, {{2, 2}, {0, 0, 0, 0}, {1, 1}, 1}},
      {Shape{1, 260, 5, 5}, Shape{256, 260, 1, 1}, {{1, 1}, {1, 0, 0, 2}, {1, 1}, 1}},
      // Depthwise: rows of three taps for each stride, and what goes tap by tap.
      {Shape{2, 16, 6, 9}, Shape{16, 1, 3, 3}, {{1, 1}, {1, 1, 1, 1}, {1, 1}, 16}},
      {Shape{1, 48, 7, 7}, Shape{48, 1, 3, 3}, {{1, 1}, {1, 1, 1, 1}, {1, 1}, 48}},
      {Shape{2, 144, 9, 12}, Shape{144, 1, 3, 3}, {{2, 2}, {1, 1, 1, 1}, {1, 1}, 144}},
      {Shape{1, 272, 5, 8}, Shape{272, 1, 3, 3}, {{2, 2}, {0, 0, 1, 1}, {1, 1}, 272}},
      {Shape{1, 32, 9, 11}, Shape{32, 1, 3, 3}, {{3, 3}, {1, 0, 1, 2}, {1, 1}, 32}},
      {Shape{2, 32, 11, 10}, Shape{32, 1, 5, 3}, {{2, 1}, {2, 1, 2, 1}, {1, 1}, 32}},
      {Shape{1, 64, 12, 13}, Shape{64, 1, 5, 5}, {{1, 2}, {2, 4, 4, 2}, {1, 1}, 64}},
      {Shape{1, 16, 9, 9}, Shape{16, 1, 3, 3}, {{1, 1}, {2, 2, 2, 2}, {2, 2}, 16}},
      {Shape{1, 16, 8, 10}, Shape{16, 1, 2, 4}, {{2, 3}, {1, 3, 0, 2}, {3, 2}, 16}},
      {Shape{3, 32, 1, 1}, Shape{32, 1, 3, 3}, {{1, 1}, {1, 1, 1, 1}, {1, 1}, 32}},
      {Shape{1, 32, 2, 2}, Shape{32, 1, 3, 3}, {{1, 1}, {4, 5, 4, 5}, {1, 1}, 32}},
      {Shape{1, 16, 6, 11}, Shape{16, 1, 5, 5}, {{1, 1}, {2, 2, 2, 2}, {1, 1}, 16}},
      {Shape{1, 16, 7, 11}, Shape{16, 1, 4, 4}, {{1, 1}, {1, 1, 2, 2}, {1, 1}, 16}},
      {Shape{1, 16, 7, 19}, Shape{16, 1, 4, 4}, {{2, 2}, {1, 1, 2, 2}, {1, 1}, 16}},
      {Shape{1, 16, 7, 17}, Shape{16, 1, 2, 2}, {{2, 2}, {0, 0, 0, 0}, {1, 1}, 16}},
      {Shape{1, 16, 7, 9}, Shape{16, 1, 2, 2}, {{3, 3}, {0, 0, 0, 0}, {1, 1}, 16}},
      {Shape{1, 16, 9, 17}, Shape{16, 1, 3, 3}, {{2, 2}, {2, 2, 2, 2}, {2, 2}, 16}},
      {Shape{1, 16, 6, 8}, Shape{16, 1, 3, 3}, {{2, 2}, {0, 0, 0, 0}, {1, 1}, 16}},
      {Shape{2, 16, 5, 1}, Shape{16, 1, 1, 1}, {{3, 3}, {0, 0, 0, 0}, {1, 1}, 16}},
      {Shape{2, 16, 4, 4}, Shape{16, 1, 1, 1}, {{1, std::int64_t(1) << 30}, {0, 0, 0, 0}, {1, 1}, 16}},
      {Shape{1, 1008, 3, 5}, Shape{1008, 1, 3, 3}, {{1, 1}, {1, 1, 1, 1}, {1, 1}, 1008}},
      // Several lines in a part of the weight gradients' sums, across pictures, and fewer in the last.
      {Shape{3, 32, 13, 40}, Shape{32, 1, 3, 3}, {{1, 1}, {1, 1, 1, 1}, {1, 1}, 32}},
      {Shape{3, 16, 7, 5}, Shape{16, 1, 3, 3}, {{1, 1}, {1, 1, 1, 1}, {1, 1}, 16}},
      {Shape{2, 16, 3, 1}, Shape{16, 1, 3, 3}, {{1, 1}, {1, 0, 1, 2}, {1, 1}, 16}},
      {Shape{2, 16, 2, 2}, Shape{16, 1, 2, 6}, {{1, 1}, {1, 5, 2, 0}, {1, 1}, 16}},
      {Shape{1, 80, 9, 8}, Shape{80, 1, 7, 7}, {{1, 1}, {3, 3, 3, 3}, {1, 1}, 80}},
      {Shape{1, 16, 9, 9}, Shape{16, 1, 8, 7}, {{1, 1}, {4, 3, 3, 3}, {1, 1}, 16}},
  };
  for (const Config& config : configs) {
    const IntegerCase c(config, 33);
    for (const Device device : test_devices()) {
      for (const MemoryFormat format : {MemoryFormat::Contiguous, MemoryFormat::ChannelsLast}) {
        c.expect_equal(device, format, DType::BF16);
      }
    }
  }
}

/// Puts the number of threads back.
struct ThreadsKept {
  int before = num_threads();
  ThreadsKept() = default;
  ThreadsKept(const ThreadsKept&) = delete;
  ThreadsKept& operator=(const ThreadsKept&) = delete;
  ~ThreadsKept() { set_num_threads(before); }
};

/// Of every pass in channels-last.
void expect_same_bits_on_any_number_of_threads(const Config& config) {
  const ThreadsKept kept;
  const auto given = [](const Shape& shape, std::uint32_t seed) {
    return kernels::to_format(random_tensor(shape, seed, DType::BF16), MemoryFormat::ChannelsLast);
  };
  const Shape out = kernels::conv2d_shape(config.x, config.weight, config.params);
  const Tensor x = given(config.x, 1), dy = given(out, 2),
               weight = random_tensor(config.weight, 3, DType::BF16);
  const auto bits = [&](int threads) {
    set_num_threads(threads);
    std::vector<std::vector<float>> all;
    for (const Tensor& result :
         {kernels::conv2d_forward(x, weight, {}, config.params),
          kernels::conv2d_backward_data(dy, weight, config.x, config.params),
          kernels::conv2d_backward_weight(x, dy, config.weight, config.params, false).weight}) {
      all.push_back(kernels::cast(result, DType::F32).values<float>());
    }
    return all;
  };
  const auto alone = bits(1);
  for (const int threads : {2, 3, 5}) EXPECT_EQ(bits(threads), alone) << threads;
}

TEST(Conv2d, DepthwiseInBf16HasTheSameBitsOnAnyNumberOfThreads) {
  expect_same_bits_on_any_number_of_threads(
      {Shape{3, 48, 29, 31}, Shape{48, 1, 3, 3}, {.padding = {1, 1, 1, 1}, .groups = 48}});
}

TEST(Conv2d, PointwiseInBf16HasTheSameBitsOnAnyNumberOfThreadsOfAmx) {
  if (!cpu_has_amx()) GTEST_SKIP() << "no AMX here, or DLCUDA_ISA is set";
  expect_same_bits_on_any_number_of_threads({Shape{3, 48, 37, 31}, Shape{272, 48, 1, 1}, {}});
}

/// Numbers of std::mt19937 are the same everywhere, those of the standard distributions are not.
class Draw {
 public:
  std::int64_t operator()(std::int64_t low, std::int64_t high) {
    return low + std::int64_t(random_() % std::uint32_t(high - low + 1));
  }
  std::int64_t operator()(std::initializer_list<std::int64_t> from) {
    return from.begin()[(*this)(0, std::int64_t(from.size()) - 1)];
  }

 private:
  std::mt19937 random_{5};
};

/// Few channels, stride 1: kernel, padding (also beyond the kernel), sides, channels and batch at random.
Config small_config(Draw& draw) {
  const std::int64_t in = draw({1, 2, 3, 4, 16}), out = draw({1, 2, 3, 4, 5, 6, 7, 8, 9, 15, 16});
  const std::int64_t kernel[] = {draw(1, 4), draw(1, 7)};
  std::int64_t side[2], before[2], after[2];
  for (int axis = 0; axis < 2; ++axis) {
    const std::int64_t most = draw({0, 1, kernel[axis], kernel[axis] + 3});
    before[axis] = draw(0, most);
    after[axis] = draw(0, 1) ? before[axis] : draw(0, most);
    side[axis] = draw(std::max<std::int64_t>(1, kernel[axis] - before[axis] - after[axis]), 20);
  }
  return {Shape{draw(1, 5), in, side[0], side[1]},
          Shape{out, in, kernel[0], kernel[1]},
          {{1, 1}, {before[0], before[1], after[0], after[1]}, {1, 1}, 1}};
}

TEST(Conv2d, PlanesEqualTheReferenceOnIntegers) {
  const ThreadsKept kept;
  Draw draw;
  int by_planes = 0;
  for (const int threads : {1, 2, 3}) {
    set_num_threads(threads);
    for (int i = 0; i < 50; ++i) {
      const IntegerCase c(small_config(draw));
      by_planes += c.goes_by_planes();
      c.expect_equal(Device::cpu(), MemoryFormat::Contiguous);
    }
  }
  EXPECT_GT(by_planes, 130);  // all but 16 channels to 15 or 16
}

// Elements that begin off a 16-byte boundary are not read in packs.
TEST(Conv2d, DepthwiseOfUnalignedMemory) {
  const Conv2dParams params{.padding = {1, 1, 1, 1}, .groups = 8};
  const Shape shape{2, 8, 5, 4};
  const Tensor x = random_integers(shape, 0, DType::F32),
               weight = random_integers(Shape{8, 1, 3, 3}, 1, DType::F32),
               bias = random_integers(Shape{8}, 2, DType::F32);
  const auto wide = [](const Tensor& t) { return kernels::cast(t, DType::F64); };
  const Tensor y = kernels::conv2d_forward(wide(x), wide(weight), wide(bias), params);
  const Tensor dx = kernels::conv2d_backward_data(wide(x), wide(weight), shape, params);
  const Tensor dw = kernels::conv2d_backward_weight(wide(x), wide(x), weight.shape(), params, false).weight;
  for (const Device device : test_devices()) {
    for (const MemoryFormat format : {MemoryFormat::Contiguous, MemoryFormat::ChannelsLast}) {
      SCOPED_TRACE(dlcuda::to_string(device) + " " + dlcuda::to_string(format));
      const Tensor memory = Tensor::empty(Shape{shape.numel() + 1}, DType::F32, device);
      const Tensor shifted =
          Tensor::from_blob(memory.data<float>() + 1, shape, DType::F32, device, {}, format);
      Tensor(shifted).copy_from(kernels::to_format(x, format));
      const Tolerance exact{0, 0};
      expect_close(kernels::conv2d_forward(shifted, weight.to(device), bias.to(device), params), y, exact);
      expect_close(kernels::conv2d_backward_data(shifted, weight.to(device), shape, params), dx, exact);
      const Tensor gradient =
          kernels::conv2d_backward_weight(shifted, shifted, weight.shape(), params, false).weight;
      expect_close(gradient, dw, exact);
    }
  }
}

TEST(Conv2d, SamePadding) {
  using Padding = std::array<std::int64_t, 4>;
  const auto padding = [](std::int64_t h, std::int64_t w, std::array<std::int64_t, 2> kernel,
                          Conv2dParams p) {
    p.padding = {9, 9, 9, 9};  // replaced
    return kernels::same_padding(Shape{1, 3, h, w}, kernel, p).padding;
  };
  // As tf.nn.conv2d documents it: all in front and behind, the odd one behind.
  EXPECT_EQ(padding(8, 8, {3, 3}, {}), (Padding{1, 1, 1, 1}));
  EXPECT_EQ(padding(8, 7, {3, 3}, {.stride = {2, 2}}), (Padding{0, 1, 1, 1}));
  EXPECT_EQ(padding(224, 224, {7, 7}, {.stride = {2, 2}}), (Padding{2, 2, 3, 3}));
  EXPECT_EQ(padding(8, 8, {2, 4}, {}), (Padding{0, 1, 1, 2}));
  EXPECT_EQ(padding(9, 9, {2, 2}, {.stride = {3, 4}}), (Padding{0, 0, 0, 1}));
  EXPECT_EQ(padding(9, 8, {2, 2}, {.stride = {3, 4}}), (Padding{0, 0, 0, 0}));
  EXPECT_EQ(padding(5, 6, {3, 3}, {.dilation = {2, 3}}), (Padding{2, 3, 2, 3}));
  EXPECT_EQ(padding(1, 1, {5, 1}, {}), (Padding{2, 0, 2, 0}));
  EXPECT_EQ(padding(0, 4, {3, 3}, {}), (Padding{0, 1, 0, 1}));
  for (std::int64_t extent = 1; extent < 12; ++extent) {
    for (std::int64_t stride = 1; stride < 5; ++stride) {
      const Conv2dParams p =
          kernels::same_padding(Shape{1, 1, extent, extent}, {3, 4}, {.stride = {stride, 1}});
      EXPECT_EQ(kernels::conv2d_shape(Shape{1, 1, extent, extent}, Shape{1, 1, 3, 4}, p),
                (Shape{1, 1, (extent + stride - 1) / stride, extent}));
    }
  }
  EXPECT_EQ(kernels::valid_padding({.padding = {1, 2, 3, 4}}).padding, Padding{});
}

TEST(Conv2d, BackwardRefusesWhatDoesNotFit) {
  const Tensor x = Tensor::zeros(Shape{2, 3, 8, 8}), weight = Tensor::zeros(Shape{4, 3, 3, 3}),
               dy = Tensor::zeros(Shape{2, 4, 6, 6});
  const auto message = [](const auto& call) { return message_of<Error>(call); };
  EXPECT_EQ(message([&] { kernels::conv2d_backward_data(x, weight, x.shape(), {}); }),
            "conv2d_backward_data: dy must have shape [2, 4, 6, 6], got [2, 3, 8, 8]");
  EXPECT_EQ(
      message([&] { kernels::conv2d_backward_data(dy, kernels::cast(weight, DType::F64), x.shape(), {}); }),
      "conv2d_backward_data: weight is f64 and dy is f32; cast one");
  EXPECT_EQ(message([&] { kernels::conv2d_backward_weight(x, x, weight.shape(), {}, true); }),
            "conv2d_backward_weight: dy must have shape [2, 4, 6, 6], got [2, 3, 8, 8]");
  EXPECT_EQ(message([&] {
              kernels::conv2d_backward_weight(x, kernels::cast(dy, DType::F64), weight.shape(), {}, true);
            }),
            "conv2d_backward_weight: dy must be f32, got f64; cast it first");
  EXPECT_EQ(message([&] {
              kernels::conv2d_backward_weight(x, kernels::to_format(dy, MemoryFormat::ChannelsLast),
                                              weight.shape(), {}, true);
            }),
            "conv2d_backward_weight: x is contiguous and dy is channels-last; convert one with "
            "kernels::to_format");
}

}  // namespace
}  // namespace dlcuda::testing

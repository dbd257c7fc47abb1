// Convolutions that do the work of the norms around them, against the parts in f64.
#include "dlcuda/kernels/conv2d_norm.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "dlcuda/core/autograd.h"
#include "dlcuda/core/error.h"
#include "dlcuda/layers/functional.h"
#include "dlcuda/models/mobilenet/mobilenet_v2.h"
#include "dlcuda/models/resnet/resnet.h"
#include "dlcuda/tests/support/compare.h"
#include "dlcuda/tests/support/devices.h"
#include "dlcuda/tests/support/errors.h"
#include "dlcuda/tests/support/random_tensor.h"
#include "dlcuda/tests/support/stir.h"

namespace dlcuda::testing {
namespace {

namespace F = functional;

struct Case {
  Shape x, weight;
  kernels::Conv2dParams params;
};
const std::vector<Case> kCases{
    {{2, 8, 5, 7}, {16, 8, 3, 3}, {.padding = {1, 1, 1, 1}}},
    {{3, 16, 6, 6}, {8, 16, 1, 1}, {}},
    {{2, 8, 9, 8}, {8, 8, 3, 3}, {.stride = {2, 2}, .padding = {1, 1, 1, 1}}},
    {{2, 16, 5, 6}, {24, 16, 1, 1}, {.stride = {2, 2}}},
    {{1, 3, 4, 33}, {5, 3, 2, 3}, {.padding = {0, 1, 1, 2}, .dilation = {2, 1}}},
    {{3, 7, 3, 2}, {3, 7, 1, 1}, {}},
    // Depthwise: in tiles that fit, that hang over and that are cut into strips, and what has no tiles.
    {{2, 8, 8, 6}, {8, 1, 3, 3}, {.padding = {1, 1, 1, 1}, .groups = 8}},
    {{2, 12, 7, 9}, {12, 1, 3, 3}, {.stride = {2, 2}, .padding = {1, 1, 1, 1}, .groups = 12}},
    {{3, 8, 41, 37}, {8, 1, 3, 3}, {.padding = {1, 1, 1, 1}, .groups = 8}},
    {{3, 8, 42, 39}, {8, 1, 3, 3}, {.stride = {2, 2}, .padding = {0, 1, 2, 1}, .groups = 8}},
    {{1, 36, 3, 4}, {36, 1, 3, 3}, {.padding = {3, 4, 0, 2}, .groups = 36}},
    {{1, 4, 9, 5}, {4, 1, 3, 3}, {.stride = {2, 2}, .padding = {3, 3, 3, 3}, .groups = 4}},
    {{2, 6, 6, 5}, {6, 1, 3, 3}, {.padding = {1, 1, 1, 1}, .groups = 6}},
    {{2, 8, 9, 7}, {8, 1, 5, 5}, {.stride = {2, 2}, .padding = {2, 2, 2, 2}, .groups = 8}},
    {{1, 8, 6, 8}, {8, 1, 5, 5}, {.padding = {2, 2, 2, 2}, .groups = 8}},
    {{2, 5, 6, 7},
     {10, 1, 3, 2},
     {.stride = {1, 2}, .padding = {1, 0, 1, 0}, .dilation = {2, 1}, .groups = 5}},
};

/// What stands between the convolutions.
struct Between {
  F::Activation activation = F::Activation::Relu;
  bool totals = true;  ///< the first convolution hands on its sums
  /// In each channel some values are on either side of every kink: not for 16 bits, where a rounded value on
  /// the other side would change a gradient by far more than rounding does.
  bool mixed = false;
};

/// What a norm has: weight, bias and running statistics of `channels`, in f64.
std::vector<Tensor> norm_tensors(std::int64_t channels, const Between& between) {
  const bool clipped = between.activation == F::Activation::Relu6;
  // All values of a channel are below the kinks, between or above them, unless they are to be mixed.
  std::vector<double> shifted = as_doubles(random_tensor({channels}, 4));
  for (std::size_t c = 0; c < shifted.size(); ++c) {
    shifted[c] += between.mixed ? (clipped ? 3 : 0) : c % 3 == 0 ? 12 : c % 3 == 1 ? -12 : clipped ? 3 : 6;
  }
  const double widest = clipped && !between.mixed ? 0.5 : 3;
  return {random_tensor({channels}, 3, DType::F64, widest / 4, widest),
          Tensor::from_values(shifted, {channels}), random_tensor({channels}, 5),
          random_tensor({channels}, 6, DType::F64, 0.5, 2)};
}

struct Chain {
  std::vector<Tensor> values;     ///< the output's norm, running statistics of both norms
  std::vector<Tensor> gradients;  ///< of x, first weight, norm's weight and bias, second weight
};

/// conv -> norm -> activation -> conv -> norm, by the parts or by convolutions that take them over.
Chain run(const Case& shapes, const Between& between, bool taken_over, DType dtype, MemoryFormat format,
          Device device) {
  const DType wide = dtype == DType::F64 ? dtype : DType::F32;
  const auto leaf = [&](const Tensor& value, DType as) {
    Tensor tensor = kernels::cast(value, as).to(device);
    tensor.set_requires_grad(true);
    return tensor;
  };
  const std::int64_t channels = shapes.x[1], outputs = shapes.weight[0];
  const Tensor x = leaf(kernels::to_format(random_tensor(shapes.x, 1), format), dtype);
  const Tensor first = leaf(random_tensor({channels, channels, 1, 1}, 2), dtype);
  const auto parts = norm_tensors(channels, between), last = norm_tensors(outputs, between);
  const Tensor weight = leaf(parts[0], wide), bias = leaf(parts[1], wide);
  const Tensor second = leaf(random_tensor(shapes.weight, 7), dtype);
  const auto buffer = [&](const Tensor& value) { return kernels::cast(value, wide).to(device).clone(); };
  const F::BatchNormTensors norm{weight, bias, buffer(parts[2]), buffer(parts[3]),
                                 Tensor::zeros(Shape{}, DType::I64, device)};
  const F::BatchNormTensors end{buffer(last[0]), buffer(last[1]), buffer(last[2]), buffer(last[3])};
  const F::BatchNormParams params{.activation = {.kind = between.activation}};

  Tensor y;
  if (taken_over) {
    const auto raw = F::conv2d_with_totals({.raw = x}, first);
    const auto totals = between.totals ? raw.totals : kernels::ChannelTotals{};
    const auto out = F::conv2d_with_totals({raw.y, totals, norm, params}, second, shapes.params);
    y = F::batch_norm_add(out.y, {}, end, true, {}, out.totals);
  } else {
    const Tensor raw = F::conv2d(x, first, {}, {});
    y = F::batch_norm_add(F::conv2d(F::batch_norm(raw, norm, true, params), second, {}, shapes.params), {},
                          end, true);
  }
  const Tensor dy =
      kernels::to_format(kernels::cast(random_tensor(y.shape(), 8), dtype), y.format()).to(device);
  F::sum(F::cast(F::multiply(y, dy), y.dtype() == DType::F64 ? DType::F64 : DType::F32)).backward();
  EXPECT_EQ(norm.batches.item<std::int64_t>(), 1);
  Chain chain{{y, norm.running_mean, norm.running_var, end.running_mean, end.running_var},
              {x.grad(), first.grad(), weight.grad(), bias.grad(), second.grad()}};
  for (auto* tensors : {&chain.values, &chain.gradients}) {
    for (Tensor& tensor : *tensors) tensor = kernels::cast(tensor.detach().to(Device::cpu()), DType::F64);
  }
  return chain;
}

void compare_with_parts(const Between& between, bool depthwise_only) {
  for (const Case& shapes : kCases) {
    if (depthwise_only && shapes.params.groups == 1) continue;
    const Chain expected = run(shapes, between, false, DType::F64, MemoryFormat::Contiguous, Device::cpu());
    for (const Variant& variant : variants(true)) {
      if (between.mixed && size_of(variant.dtype) < 4) continue;
      SCOPED_TRACE(to_string(variant) + " " + to_string(shapes.x) + " " + to_string(shapes.weight));
      const Chain chain = run(shapes, between, true, variant.dtype, variant.format, variant.device);
      // Statistics from sums of squares lose a few digits, 16-bit activations are rounded three times on the
      // way, and both show most in gradients, which a norm makes differences of.
      const double allowed = variant.dtype == DType::F64   ? 1e-9
                             : variant.dtype == DType::F32 ? 1e-4
                             : variant.dtype == DType::F16 ? 2e-2
                                                           : 0.15;
      for (std::size_t i = 0; i < chain.values.size(); ++i) {
        EXPECT_LT(relative_distance(chain.values[i], expected.values[i]), allowed) << "value " << i;
      }
      for (std::size_t i = 0; i < chain.gradients.size(); ++i) {
        // A gradient that is 0 but for rounding has no digits to compare.
        double largest = 0;
        for (const double value : as_doubles(expected.gradients[i]))
          largest = std::max(largest, std::abs(value));
        if (largest < 1e-6) continue;
        // Of the bias of a channel that no activation clips only what the padding does is left, because the
        // norm behind takes shifts away.
        const bool cancels = between.activation == F::Activation::Relu6 && i == 3 && !between.mixed;
        EXPECT_LT(relative_distance(chain.gradients[i], expected.gradients[i]),
                  cancels ? 3 * allowed : allowed)
            << "gradient " << i;
      }
    }
  }
}

TEST(Conv2dNorm, ComputesWhatThePartsDo) { compare_with_parts({}, false); }

TEST(Conv2dNorm, DepthwiseTakesRelu6AndNormsWithoutTotals) {
  compare_with_parts({.activation = F::Activation::Relu6}, true);
  compare_with_parts({.activation = F::Activation::Relu6, .totals = false}, true);
}

TEST(Conv2dNorm, EveryKinkOfAChannelIsKept) {
  for (const auto activation : {F::Activation::Relu, F::Activation::Relu6}) {
    compare_with_parts({.activation = activation, .mixed = true}, true);
  }
}

/// A depthwise convolution of whole numbers behind a norm that leaves them as they are: every sum is exact.
TEST(Conv2dNorm, DepthwiseSumsOfWholeNumbersAreExact) {
  const auto whole = [](const Shape& shape, int spread) {
    std::vector<double> numbers;
    for (std::int64_t i = 0; i < shape.numel(); ++i) numbers.push_back(double(i * 7 % spread - spread / 2));
    return Tensor::from_values(numbers, shape);
  };
  const Shape shape{2, 8, 13, 14};
  for (const std::int64_t stride : {1, 2}) {
    const kernels::Conv2dParams params{.stride = {stride, stride}, .padding = {1, 1, 1, 1}, .groups = 8};
    const Tensor x = whole(shape, 19), weight = whole({8, 1, 3, 3}, 5);
    const Tensor input = kernels::activation_forward(x, {.kind = F::Activation::Relu6});
    const Tensor y = kernels::conv2d_forward(input, weight, {}, params);
    const Tensor dy = whole(y.shape(), 3);
    const Tensor dweight = kernels::conv2d_backward_weight(input, dy, weight.shape(), params, false).weight;
    const std::vector<double> dinput = as_doubles(kernels::conv2d_backward_data(dy, weight, shape, params)),
                              values = as_doubles(x), outputs = as_doubles(y);
    std::vector<double> sum(8), squares(8), dnorm_weight(8), dnorm_bias(8);
    const std::size_t pixels = outputs.size() / 16, inputs = values.size() / 16;
    for (std::size_t i = 0; i < outputs.size(); ++i) {
      sum[i / pixels % 8] += outputs[i];
      squares[i / pixels % 8] += outputs[i] * outputs[i];
    }
    for (std::size_t i = 0; i < values.size(); ++i) {
      if (values[i] <= 0 || values[i] >= 6) continue;
      dnorm_bias[i / inputs % 8] += dinput[i];
      dnorm_weight[i / inputs % 8] += dinput[i] * values[i];
    }
    for (const Variant& variant : variants(true)) {
      if (variant.dtype == DType::BF16) continue;  // holds no whole numbers above 256
      SCOPED_TRACE(to_string(variant) + " stride " + std::to_string(stride));
      const auto given = [&](const Tensor& tensor) {
        return kernels::to_format(kernels::cast(tensor, variant.dtype), variant.format).to(variant.device);
      };
      const DType wide = variant.dtype == DType::F64 ? DType::F64 : DType::F32;
      const auto all = [&](double value) {
        return kernels::cast(Tensor::from_values(std::vector<double>(8, value), {8}), wide)
            .to(variant.device);
      };
      const kernels::KnownNorm norm{.mean = all(0),
                                    .inverse_std = all(1),
                                    .weight = all(1),
                                    .bias = all(0),
                                    .activation = F::Activation::Relu6};
      const Tensor taps = kernels::cast(weight, variant.dtype).to(variant.device);
      const auto doubles = [](const Tensor& tensor) {
        return as_doubles(kernels::cast(tensor.to(Device::cpu()), DType::F64));
      };
      const auto out = kernels::conv2d_norm_forward(given(x), &norm, taps, params);
      EXPECT_EQ(doubles(out.y), outputs);
      EXPECT_EQ(doubles(out.totals.sum), sum);
      EXPECT_EQ(doubles(out.totals.squares), squares);
      if (variant.dtype != DType::F16) {  // holds sums up to 2048
        EXPECT_EQ(
            doubles(kernels::conv2d_norm_backward_weight(given(x), norm, given(dy), weight.shape(), params)),
            as_doubles(dweight));
      }
      const auto gradients = kernels::conv2d_norm_backward_data(given(dy), taps, given(x), norm, params);
      EXPECT_EQ(doubles(gradients.weight), dnorm_weight);
      EXPECT_EQ(doubles(gradients.bias), dnorm_bias);
    }
  }
}

TEST(Conv2dNorm, TotalsAreSumsOfTheOutput) {
  for (const Variant& variant : variants(true)) {
    SCOPED_TRACE(to_string(variant));
    // Integers, so that every sum is exact.
    std::vector<double> numbers;
    for (int i = 0; i < 2 * 8 * 3 * 5; ++i) numbers.push_back(i * 7 % 5 - 2);
    const Tensor x = kernels::to_format(
        kernels::cast(Tensor::from_values(numbers, {2, 8, 3, 5}), variant.dtype).to(variant.device),
        variant.format);
    const Tensor weight = kernels::cast(Tensor::from_values<double>({1, 0, 0, 0, 0, 0, 0, 0,  //
                                                                     0, 2, 0, 0, 0, 0, 0, 0,  //
                                                                     1, 1, 0, 0, 0, 0, 0, 0,  //
                                                                     0, 0, 0, 1, 0, 0, 0, 0,  //
                                                                     0, 0, 0, 0, 0, 0, 0, 0,  //
                                                                     0, 0, 0, 0, 0, 1, 0, 0,  //
                                                                     0, 0, 0, 0, 0, 0, 1, 0,  //
                                                                     0, 0, 0, 0, 0, 0, 0, 3},
                                                                    {8, 8, 1, 1}),
                                        variant.dtype)
                              .to(variant.device);
    const auto out = kernels::conv2d_norm_forward(x, nullptr, weight);
    const std::vector<double> y = as_doubles(kernels::cast(out.y.to(Device::cpu()), DType::F64));
    std::vector<double> sum(8), squares(8);
    for (std::size_t i = 0; i < y.size(); ++i) {
      sum[i / 15 % 8] += y[i];
      squares[i / 15 % 8] += y[i] * y[i];
    }
    EXPECT_EQ(as_doubles(kernels::cast(out.totals.sum.to(Device::cpu()), DType::F64)), sum);
    EXPECT_EQ(as_doubles(kernels::cast(out.totals.squares.to(Device::cpu()), DType::F64)), squares);
  }
}

TEST(Conv2dNorm, IsTakenForF16InChannelsLastOnCuda) {
  for (const Device device : test_devices()) {
    const auto taken = [&](DType dtype, MemoryFormat format, std::int64_t channels, std::int64_t groups = 1) {
      const Tensor x = Tensor::empty({2, channels, 8, 8}, dtype, device, format);
      const Tensor weight = Tensor::empty({16, channels / groups, 3, 3}, dtype, device);
      return kernels::conv2d_absorbs_norms(x, weight, {.groups = groups}, true);
    };
    EXPECT_EQ(taken(DType::F16, MemoryFormat::ChannelsLast, 16), device.is_cuda());
    EXPECT_FALSE(taken(DType::F16, MemoryFormat::Contiguous, 16));
    EXPECT_FALSE(taken(DType::BF16, MemoryFormat::ChannelsLast, 16));
    EXPECT_FALSE(taken(DType::F32, MemoryFormat::ChannelsLast, 16));
    EXPECT_FALSE(taken(DType::F16, MemoryFormat::ChannelsLast, 12));
    EXPECT_FALSE(taken(DType::F16, MemoryFormat::ChannelsLast, 16, 2));
    const Tensor pixel = Tensor::empty({4, 16, 1, 1}, DType::F16, device, MemoryFormat::ChannelsLast);
    EXPECT_FALSE(kernels::conv2d_absorbs_norms(pixel, Tensor::empty({16, 16, 3, 3}, DType::F16, device),
                                               {.padding = {1, 1, 1, 1}}, true));
    kernels::set_allow_norm_absorption(false);
    EXPECT_FALSE(taken(DType::F16, MemoryFormat::ChannelsLast, 16));
    kernels::set_allow_norm_absorption(true);
  }
}

TEST(Conv2dNorm, IsTakenForDepthwiseInChannelsLastOnCuda) {
  for (const Device device : test_devices()) {
    const auto taken = [&](DType dtype, MemoryFormat format, std::int64_t channels,
                           const kernels::Conv2dParams& params = {}, std::int64_t kernel = 3) {
      const Tensor x = Tensor::empty({2, channels, 8, 8}, dtype, device, format);
      const Tensor weight = Tensor::empty({channels, 1, kernel, kernel}, dtype, device);
      kernels::Conv2dParams depthwise = params;
      depthwise.groups = channels;
      const bool is_taken = kernels::conv2d_absorbs_norms(x, weight, depthwise, true, F::Activation::Relu6);
      EXPECT_EQ(kernels::conv2d_absorbs_norms(x, weight, depthwise, false), is_taken);
      return is_taken;
    };
    for (const DType dtype : {DType::F32, DType::BF16, DType::F16}) {
      EXPECT_EQ(taken(dtype, MemoryFormat::ChannelsLast, 12), device.is_cuda());
      EXPECT_EQ(taken(dtype, MemoryFormat::ChannelsLast, 8, {.stride = {2, 2}}), device.is_cuda());
      EXPECT_FALSE(taken(dtype, MemoryFormat::Contiguous, 12));
    }
    EXPECT_FALSE(taken(DType::F16, MemoryFormat::ChannelsLast, 6));
    EXPECT_FALSE(taken(DType::F16, MemoryFormat::ChannelsLast, 8, {.stride = {1, 2}}));
    EXPECT_FALSE(taken(DType::F16, MemoryFormat::ChannelsLast, 8, {.dilation = {2, 2}}));
    EXPECT_FALSE(taken(DType::F16, MemoryFormat::ChannelsLast, 8, {}, 5));
    // Dense ones are cuDNN's, whose engines know ReLU only.
    const Tensor x = Tensor::empty({2, 16, 8, 8}, DType::F16, device, MemoryFormat::ChannelsLast);
    const Tensor weight = Tensor::empty({16, 16, 1, 1}, DType::F16, device);
    EXPECT_FALSE(kernels::conv2d_absorbs_norms(x, weight, {}, true, F::Activation::Relu6));
    EXPECT_EQ(kernels::conv2d_absorbs_norms(x, weight, {}, false, F::Activation::Relu6), device.is_cuda());
    kernels::set_allow_norm_absorption(false);
    EXPECT_FALSE(taken(DType::F16, MemoryFormat::ChannelsLast, 8));
    kernels::set_allow_norm_absorption(true);
  }
}

struct Trained {
  std::vector<float> y;
  std::vector<std::pair<std::string, Tensor>> gradients, buffers;
};

/// One step of a block of 8 channels, for pictures of 8x8.
Trained train_block(Module& block, bool absorb, DType dtype, Device device) {
  kernels::set_allow_norm_absorption(absorb);
  stir(block);
  block.to(device);
  block.to(dtype);
  Tensor x =
      kernels::to_format(random_tensor({4, 8, 8, 8}, 11, dtype), MemoryFormat::ChannelsLast).to(device);
  x.set_requires_grad(true);
  const Tensor y = block(x);
  const Tensor dy = kernels::to_format(random_tensor(y.shape(), 12, dtype), y.format()).to(device);
  F::sum(F::cast(F::multiply(y, dy), y.dtype() == DType::F64 ? DType::F64 : DType::F32)).backward();
  kernels::set_allow_norm_absorption(true);
  const auto wide = [](const Tensor& tensor) {
    return kernels::cast(tensor.detach().to(Device::cpu()), DType::F64);
  };
  Trained trained{.y = kernels::cast(y.detach().to(Device::cpu()), DType::F32).values<float>(),
                  .gradients = {{"x", wide(x.grad())}},
                  .buffers = {}};
  for (const auto& [name, tensor] : block.parameters())
    trained.gradients.push_back({name, wide(tensor.grad())});
  for (const auto& [name, tensor] : block.state_dict()) {
    if (name.find("num_batches") != std::string::npos) {
      EXPECT_EQ(tensor.item<std::int64_t>(), 1) << name;
    } else if (name.find("running") != std::string::npos) {
      trained.buffers.push_back({name, wide(tensor)});
    }
  }
  return trained;
}

TEST(Conv2dNorm, AnInvertedResidualTrainsTheSameWay) {
  for (const Device device : test_devices()) {
    for (const std::int64_t stride : {1, 2}) {
      for (const std::int64_t expansion : {1, 3}) {
        for (const DType dtype : {DType::F32, DType::BF16, DType::F16}) {
          SCOPED_TRACE(fmt::format("{} {} stride {} expansion {}", to_string(device), to_string(dtype),
                                   stride, expansion));
          const InvertedResidual::Options options{
              .in_channels = 8, .out_channels = 8, .stride = stride, .expansion = expansion};
          const auto train = [&](bool absorb) {
            InvertedResidual block(options);
            return train_block(block, absorb, dtype, device);
          };
          const Trained parts = train(false), fused = train(true);
          if (device.is_cpu()) {
            EXPECT_EQ(fused.y, parts.y);  // there is nothing to take over
            continue;
          }
          // As for a residual block; in f32 the statistics from sums of squares lose a few digits.
          const double allowed = dtype == DType::F32 ? 1e-4 : dtype == DType::F16 ? 0.05 : 0.2;
          const double of_buffers = dtype == DType::F32 ? 1e-5 : dtype == DType::F16 ? 2e-3 : 2e-2;
          ASSERT_EQ(fused.gradients.size(), parts.gradients.size());
          for (std::size_t i = 0; i < parts.gradients.size(); ++i) {
            EXPECT_LT(relative_distance(fused.gradients[i].second, parts.gradients[i].second), allowed)
                << parts.gradients[i].first;
          }
          for (std::size_t i = 0; i < parts.buffers.size(); ++i) {
            EXPECT_LT(relative_distance(fused.buffers[i].second, parts.buffers[i].second), of_buffers)
                << parts.buffers[i].first;
          }
        }
      }
    }
  }
}

TEST(Conv2dNorm, AResidualBlockTrainsTheSameWay) {
  for (const Device device : test_devices()) {
    for (const bool bottleneck : {false, true}) {
      SCOPED_TRACE(to_string(device) + (bottleneck ? " bottleneck" : ""));
      const ResidualBlock::Options options{
          .in_channels = 8, .width = 8, .stride = 2, .bottleneck = bottleneck};
      const auto train = [&](bool absorb) {
        ResidualBlock block(options);
        return train_block(block, absorb, DType::F16, device);
      };
      const Trained parts = train(false), fused = train(true);
      if (device.is_cpu()) {
        EXPECT_EQ(fused.y, parts.y);  // there is nothing to take over
        continue;
      }
      EXPECT_NE(fused.y, parts.y);  // rounded in other places
      ASSERT_EQ(fused.gradients.size(), parts.gradients.size());
      for (std::size_t i = 0; i < parts.gradients.size(); ++i) {
        // In f16, and some values lie near a ReLU's kink.
        EXPECT_LT(relative_distance(fused.gradients[i].second, parts.gradients[i].second), 0.05)
            << parts.gradients[i].first;
      }
      for (std::size_t i = 0; i < parts.buffers.size(); ++i) {
        EXPECT_LT(relative_distance(fused.buffers[i].second, parts.buffers[i].second), 2e-3)
            << parts.buffers[i].first;
      }
    }
  }
}

TEST(Conv2dNorm, NanAndOverflowShowInTheStatistics) {
  for (const Device device : test_devices()) {
    constexpr float kInf = std::numeric_limits<float>::infinity();
    const Tensor sum = Tensor::from_values<float>({kInf, 4}, {2}, device),
                 squares = Tensor::from_values<float>({kInf, 8}, {2}, device),
                 ones = Tensor::from_values<float>({1, 1}, {2}, device);
    const auto norm = kernels::batch_norm_known({sum, squares}, 4, DType::F32, ones, ones, {}, {});
    EXPECT_TRUE(std::isnan(norm.inverse_std.values<float>()[0]));
    EXPECT_FLOAT_EQ(norm.mean.values<float>()[1], 1);
    EXPECT_NEAR(norm.inverse_std.values<float>()[1], 1, 1e-4);
  }
}

TEST(Conv2dNorm, RefusesWhatDoesNotFit) {
  const Tensor x = Tensor::zeros({2, 3, 4, 4}), weight = Tensor::zeros({5, 3, 3, 3}), c = Tensor::zeros({3});
  kernels::KnownNorm norm{c, c, c, c, c, c};
  expect_error<ShapeError>(
      [&] {
        kernels::conv2d_norm_forward(x, nullptr, Tensor::zeros({5, 2, 3, 3}));
      },
      "conv2d: x has 3 channels");
  norm.mean = Tensor::zeros({4});
  expect_error<ShapeError>([&] { kernels::conv2d_norm_forward(x, &norm, weight); },
                           "conv2d_norm: norm.mean must have shape [3], got [4]");
  norm.mean = c;
  norm.scale = Tensor::zeros({3}, DType::F16);
  expect_error<DTypeError>([&] { kernels::conv2d_norm_forward(x, &norm, weight); },
                           "conv2d_norm: norm.scale must be f32, got f16");
  norm.scale = c;
  expect_error<ShapeError>(
      [&] {
        kernels::conv2d_norm_backward_data(Tensor::zeros({2, 5, 4, 4}), weight, x, norm);
      },
      "conv2d_norm_backward_data: dy must have shape [2, 5, 2, 2], got [2, 5, 4, 4]");
  expect_error<ShapeError>(
      [&] {
        kernels::conv2d_norm_backward_weight(x, norm, Tensor::zeros({2, 5, 4, 4}), weight.shape());
      },
      "conv2d_norm_backward_weight: dy must have shape [2, 5, 2, 2], got [2, 5, 4, 4]");
  expect_error<ShapeError>(
      [&] {
        kernels::conv2d_norm_forward(Tensor::zeros({0, 3, 4, 4}), nullptr, weight);
      },
      "conv2d_norm: y has no elements");
  norm.scale = norm.shift = {};
  expect_error<Error>([&] { kernels::conv2d_norm_forward(x, &norm, weight); }, "norm.scale is undefined");
  norm.activation = F::Activation::Silu;
  expect_error<ArgumentError>(
      [&] { kernels::conv2d_norm_forward(x, &norm, weight); },
      "conv2d_norm: the activation between a norm and a convolution must be Relu or Relu6");
  const Tensor taps = Tensor::zeros({3, 1, 3, 3});
  expect_error<ArgumentError>(
      [&] {
        kernels::conv2d_norm_backward_data(Tensor::zeros({2, 3, 2, 2}), taps, x, norm, {.groups = 3});
      },
      "conv2d_norm_backward_data: the activation between a norm");
  expect_error<ShapeError>(
      [&] {
        kernels::batch_norm_known(Tensor::zeros({1, 3}), c, c, {}, {});
      },
      "batch_norm_known: in training a channel needs more than one value, got shape [1, 3]");
  expect_error<Error>([&] { kernels::batch_norm_known(x, {}, c, {}, {}); },
                      "batch_norm_known: weight is undefined");
  const kernels::ChannelTotals totals{c, c};
  expect_error<ShapeError>([&] { kernels::batch_norm_known(totals, 1, DType::F32, c, c, {}, {}); },
                           "batch_norm_known: in training a channel needs more than one value, got 1");
  expect_error<ArgumentError>([&] { kernels::batch_norm_known(totals, 9, DType::F32, c, c, c, {}); },
                              "batch_norm_known: running_mean and running_var come together");
  expect_error<ArgumentError>(
      [&] { kernels::batch_norm_known(totals, 9, DType::F32, c, c, {}, {}, {.epsilon = 0}); },
      "batch_norm_known: epsilon must be positive, got 0");
  expect_error<DTypeError>([&] { kernels::batch_norm_known(totals, 9, DType::I32, c, c, {}, {}); },
                           "batch_norm_known: x_dtype must be floating-point, got i32");
}

}  // namespace
}  // namespace dlcuda::testing

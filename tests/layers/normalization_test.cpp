#include "dlcuda/layers/normalization.h"

#include <gtest/gtest.h>

#include "dlcuda/core/error.h"
#include "dlcuda/layers/layers.h"
#include "dlcuda/tests/support/compare.h"
#include "dlcuda/tests/support/errors.h"
#include "dlcuda/tests/support/random_tensor.h"

namespace dlcuda {
namespace {

TEST(BatchNorm2d, HasPyTorchsNames) {
  BatchNorm2d norm(3);
  std::vector<std::string> names;
  for (const auto& [name, tensor] : norm.state_dict()) names.push_back(name);
  EXPECT_EQ(names, (std::vector<std::string>{"weight", "bias", "running_mean", "running_var",
                                             "num_batches_tracked"}));
  EXPECT_EQ(norm.parameters().size(), 2u);
  EXPECT_EQ(norm.describe(), "BatchNorm2d(3)");
}

TEST(BatchNorm2d, LearnsStatisticsInTrainingOnly) {
  for (const Device device : testing::test_devices()) {
    SCOPED_TRACE(to_string(device));
    BatchNorm2d norm(2);
    norm.to(device);
    // Channel 0: 1 and 3; channel 1: always 5.
    const Tensor x = Tensor::from_values<float>({1, 5, 3, 5}, {2, 2, 1, 1}, device);
    norm(x);
    EXPECT_EQ(norm.state_dict()[4].second.item<std::int64_t>(), 1);
    const std::vector<float> mean = norm.state_dict()[2].second.values<float>();
    const std::vector<float> var = norm.state_dict()[3].second.values<float>();
    EXPECT_FLOAT_EQ(mean[0], 0.2f);
    EXPECT_FLOAT_EQ(mean[1], 0.5f);
    EXPECT_FLOAT_EQ(var[0], 0.9f + 0.1f * 2);  // the unbiased variance of 1 and 3 is 2
    EXPECT_FLOAT_EQ(var[1], 0.9f);
    norm.eval();
    norm(x);
    EXPECT_EQ(norm.state_dict()[4].second.item<std::int64_t>(), 1);
    EXPECT_EQ(norm.state_dict()[2].second.values<float>(), mean);
  }
}

TEST(BatchNorm2d, KeepsItsDigitsUnderALargeMean) {
  for (const Device device : testing::test_devices()) {
    for (const Shape& shape : {Shape{2, 2, 30, 30}, Shape{900, 2}}) {  // by planes, by columns
      SCOPED_TRACE(to_string(device));
      std::vector<float> values(static_cast<std::size_t>(shape.numel()));
      // 2^20 + 1 and 2^20 - 1 in turn, for every channel: a standard deviation of 1.
      for (std::size_t i = 0; i < values.size(); ++i) {
        values[i] = 0x1p20f + (i / (shape.rank() == 2 ? 2 : 1) % 2 == 0 ? 1.0f : -1.0f);
      }
      const Tensor x = Tensor::from_values(values, shape, device);
      const kernels::BatchNormOutput out =
          kernels::batch_norm_training(x, {}, {}, {}, {}, {}, {.epsilon = 1e-9});
      for (const float mean : out.mean.values<float>()) EXPECT_EQ(mean, 0x1p20f);
      for (const float inverse_std : out.inverse_std.values<float>()) EXPECT_FLOAT_EQ(inverse_std, 1.0f);
    }
  }
}

// So many rows that strips of them are reduced first: with packs of channels and without, whole tiles of
// channels and a rest, and by planes.
TEST(BatchNorm2d, ReducesStripsOfManyRows) {
  for (const Device device : testing::test_devices()) {
    for (const Shape& shape : {Shape{1200, 40}, Shape{300, 33}, Shape{70, 5, 3, 3}}) {
      for (const DType dtype : {DType::F32, DType::BF16}) {
        SCOPED_TRACE(to_string(device) + " " + to_string(shape) + " " + to_string(dtype));
        const Tensor x = random_tensor(shape, 0, dtype, -1, 3), dy = random_tensor(shape, 1, dtype);
        const Tensor wide = kernels::cast(x, DType::F64), wide_dy = kernels::cast(dy, DType::F64);
        const auto expected = kernels::batch_norm_training(wide, {}, {}, {}, {}, {});
        const auto gradients = kernels::batch_norm_backward(
            {.dy = wide_dy, .x = wide, .mean = expected.mean, .inverse_std = expected.inverse_std}, true,
            false);
        const auto out = kernels::batch_norm_training(x.to(device), {}, {}, {}, {}, {});
        const auto found = kernels::batch_norm_backward(
            {.dy = dy.to(device), .x = x.to(device), .mean = out.mean, .inverse_std = out.inverse_std}, true,
            false);
        testing::expect_close(out.mean, expected.mean);
        testing::expect_close(out.inverse_std, expected.inverse_std);
        testing::expect_close(out.y, expected.y, dtype == DType::F32 ? 1 : 2);
        // Sums of 1200 terms of either sign.
        testing::expect_close(found.bias, gradients.bias, testing::Tolerance{1e-5, 1e-4});
        testing::expect_close(found.weight, gradients.weight, testing::Tolerance{1e-5, 1e-4});
      }
    }
  }
}

// Rows wider than what is worked on at a time, several pixels side by side, and pixels behind the last whole
// row: each element against the formula, with the statistics and sums of its channel.
TEST(BatchNorm2d, EveryElementHasItsChannel) {
  for (const Device device : testing::test_devices()) {
    for (const Shape& shape : {Shape{5, 1100}, Shape{131, 24}, Shape{700, 9}, Shape{3, 4, 2, 300}}) {
      for (const DType dtype : {DType::F32, DType::BF16, DType::F16}) {
        SCOPED_TRACE(to_string(device) + " " + to_string(shape) + " " + to_string(dtype));
        const Tensor x = random_tensor(shape, 0, dtype, -1, 3), dy = random_tensor(shape, 1, dtype);
        const Tensor weight = random_tensor(Shape{shape[1]}, 2, DType::F32);
        const Tensor bias = random_tensor(Shape{shape[1]}, 3, DType::F32);
        const auto params = kernels::BatchNormParams{.activation = {.kind = kernels::Activation::LeakyRelu}};
        const auto out = kernels::batch_norm_training(x.to(device), weight.to(device), bias.to(device), {},
                                                      {}, {}, params);
        const auto found = kernels::batch_norm_backward({.dy = dy.to(device),
                                                         .x = x.to(device),
                                                         .y = out.y,
                                                         .weight = weight.to(device),
                                                         .bias = bias.to(device),
                                                         .mean = out.mean,
                                                         .inverse_std = out.inverse_std},
                                                        true, false, params);
        const auto numbers = [](const Tensor& t) {
          return kernels::cast(t.to(Device::cpu()), DType::F64).values<double>();
        };
        const auto xs = numbers(x), slopes = numbers(dy), ys = numbers(out.y), scales = numbers(weight);
        const auto shifts = numbers(bias), means = numbers(out.mean), stds = numbers(out.inverse_std);
        const auto by_weight = numbers(found.weight), by_bias = numbers(found.bias);
        const std::int64_t channels = shape[1], inner = shape.numel() / shape[0] / channels;
        const double count = static_cast<double>(shape.numel() / channels);
        std::vector<double> y, dx;
        for (std::size_t i = 0; i < xs.size(); ++i) {
          const auto c = static_cast<std::size_t>(static_cast<std::int64_t>(i) / inner % channels);
          const double normal = (xs[i] - means[c]) * stds[c], value = normal * scales[c] + shifts[c];
          y.push_back(value > 0 ? value : value * 0.01);
          const double slope = ys[i] > 0 ? slopes[i] : slopes[i] * 0.01;
          dx.push_back(scales[c] * stds[c] * (slope - by_bias[c] / count - normal * by_weight[c] / count));
        }
        testing::expect_close(out.y, Tensor::from_values<double>(y, shape));
        testing::expect_close(found.x, Tensor::from_values<double>(dx, shape));
      }
    }
  }
}

TEST(BatchNorm2d, FoldsIntoAConvolution) {
  for (const Device device : testing::test_devices()) {
    SCOPED_TRACE(to_string(device));
    Conv2d conv({3, 4, {3, 3}});
    BatchNorm2d norm(4);
    conv.to(device);
    norm.to(device);
    const Tensor x = random_tensor({2, 3, 6, 5}, 0, DType::F32, -1, 3).to(device);
    for (int step = 0; step < 3; ++step) norm(conv(x));
    norm.eval();
    const auto parameters = conv.parameters();
    const auto& t = norm.tensors();
    const auto [weight, bias] =
        kernels::fold_batch_norm(parameters[0].second, parameters[1].second, t.weight, t.bias, t.running_mean,
                                 t.running_var, norm.params().epsilon);
    const Tensor expected = kernels::cast(norm(conv(x)).to(Device::cpu()), DType::F64);
    testing::expect_close(functional::conv2d(x, weight, bias), expected, 10);  // 27 products in another order
  }
}

TEST(Normalization, LayersRefuseNonsense) {
  EXPECT_EQ(message_of<ArgumentError>([] { BatchNorm2d norm(0); }),
            "BatchNorm2d: channels must be at least 1, got 0");
  EXPECT_EQ(message_of<ArgumentError>([] { GroupNorm norm(3, 4); }),
            "GroupNorm: groups must divide the channels, got 3 and 4");
}

TEST(Normalization, LayersAreTheirFunctions) {
  const Tensor x = random_tensor({2, 4, 3, 3}, 0, DType::F32);
  EXPECT_EQ(GroupNorm(2, 4)(x).values<float>(), functional::group_norm(x, 2).values<float>());
  EXPECT_EQ(LayerNorm({3, 3})(x).values<float>(), functional::layer_norm(x, {3, 3}).values<float>());
  EXPECT_EQ(LocalResponseNorm()(x).values<float>(), functional::local_response_norm(x).values<float>());
}

}  // namespace
}  // namespace dlcuda

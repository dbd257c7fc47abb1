#include "dlcuda/models/unet/unet.h"

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "dlcuda/core/autograd.h"
#include "dlcuda/core/error.h"
#include "dlcuda/data/loader.h"
#include "dlcuda/data/shapes.h"
#include "dlcuda/kernels/copy.h"
#include "dlcuda/kernels/random.h"
#include "dlcuda/optim/optimizer.h"
#include "dlcuda/tests/support/compare.h"
#include "dlcuda/tests/support/devices.h"
#include "dlcuda/tests/support/errors.h"
#include "dlcuda/tests/support/random_tensor.h"
#include "dlcuda/tests/support/stir.h"
#include "dlcuda/train/task.h"

namespace dlcuda::testing {
namespace {

using Enlarge = UNetConfig::Enlarge;

/// All forms, narrow: padded or not, with and without norms, both ways to enlarge.
std::map<std::string, UNetConfig> narrow_forms() {
  const UNetConfig base{.in_channels = 2, .classes = 3, .width = 5, .depth = 2};
  std::map<std::string, UNetConfig> forms;
  for (const bool padded : {false, true}) {
    for (const bool norm : {false, true}) {
      for (const Enlarge enlarge : {Enlarge::TransposedConv, Enlarge::Bilinear}) {
        UNetConfig config = base;
        config.padded = padded;
        config.depth = padded ? 2 : 1;
        config.batch_norm = norm;
        config.enlarge = enlarge;
        forms[UNet(config).describe()] = config;
      }
    }
  }
  return forms;
}

/// An input that the form takes: without padding and halved once, 20 rows become 4.
Shape input_of(const UNetConfig& config, std::int64_t count = 2) {
  return config.padded ? Shape{count, 2, 8, 12} : Shape{count, 2, 20, 24};
}

Shape output_of(const UNetConfig& config) { return config.padded ? Shape{2, 3, 8, 12} : Shape{2, 3, 4, 8}; }

// Counted by hand. A 3x3 convolution from i to o channels with biases has (9 i + 1) o; a 2x2 transposed one
// (4 i + 1) o; a 1x1 one (i + 1) o. With in = 1 and stages of 64, 128, 256, 512 and 1024:
//   down    37,568 + 221,440 + 885,248 + 3,539,968 + 14,157,824            = 18,842,048
//   joins   2,097,664 + 524,544 + 131,200 + 32,832                         =  2,786,240
//   up      7,078,912 + 1,769,984 + 442,624 + 110,720                      =  9,402,240
//   head    65 for each class
TEST(UNet, HasTheParametersThatOneCountsByHand) {
  UNetConfig config = UNetConfig::paper();
  config.classes = 1;
  EXPECT_EQ(UNet(config).parameter_count(), 18'842'048 + 2'786'240 + 9'402'240 + 65);
  EXPECT_EQ(18'842'048 + 2'786'240 + 9'402'240 + 65, 31'030'593);
  // Two more input channels of 9 * 64 weights; one more class; norms bring two parameters a channel and take
  // the bias: one more for each of the 2 (64 + ... + 1024) + 2 (64 + ... + 512) channels of convolutions.
  config = UNetConfig::modern();
  config.in_channels = 3;
  EXPECT_EQ(UNet(config).parameter_count(), 31'030'593 + 2 * 9 * 64 + 65 + 2 * 1984 + 2 * 960);
  // Joins of 1x1 convolutions instead: (i + 1) i / 2 for i = 1024, 512, 256, 128.
  config.enlarge = Enlarge::Bilinear;
  EXPECT_EQ(UNet(config).parameter_count(), 31'037'698 - 2'786'240 + 524'800 + 131'328 + 32'896 + 8'256);
  // Width 2, depth 1: 2 * 19 + 2 * 19 channels...: 38 + 38, 76 + 148, join 34, up 74 + 38, head 3.
  EXPECT_EQ(UNet({.in_channels = 2, .classes = 1, .width = 2, .depth = 1}).parameter_count(),
            38 + 38 + 76 + 148 + 34 + 74 + 38 + 3);
}

TEST(UNet, ExtentsAreThoseOfThePaper) {
  EXPECT_EQ(UNet::output_extent(572, UNetConfig::paper()), 388);
  EXPECT_EQ(UNet::output_extent(188, UNetConfig::paper()), 4);
  EXPECT_EQ(UNet::output_extent(48, UNetConfig::modern()), 48);
  EXPECT_EQ(UNet::output_extent(16, UNetConfig::modern()), 16);
  expect_error<ShapeError>([] { UNet::output_extent(512, UNetConfig::paper()); }, "512", "4 times",
                           "508 and 524");
  expect_error<ShapeError>([] { UNet::output_extent(40, UNetConfig::modern()); }, "32 and 48");
  expect_error<ShapeError>([] { UNet::output_extent(3, UNetConfig::modern()); }, "nearest that can: 16");
}

TEST(UNet, ShapesOfTheOutput) {
  const autograd::NoGrad no_grad;
  for (const auto& [name, config] : narrow_forms()) {
    SCOPED_TRACE(name);
    UNet model(config);
    model.eval();
    EXPECT_EQ(model(random_tensor(input_of(config), 1, DType::F32)).shape(), output_of(config));
  }
  UNet model({.in_channels = 1, .width = 1, .dropout = 0.5});  // the paper's, but for the width
  EXPECT_EQ(model(Tensor::zeros({1, 1, 188, 204})).shape(), (Shape{1, 2, 4, 20}));
  expect_error<ShapeError>([&] { model(Tensor::zeros({1, 1, 188, 190})); }, "190");
  expect_error<ShapeError>([&] { model(Tensor::zeros({1, 1, 188})); }, "(N, C, H, W)");
}

TEST(UNet, NamesAndDescription) {
  const UNet model(
      {.in_channels = 1, .classes = 2, .width = 2, .depth = 1, .padded = true, .batch_norm = true});
  EXPECT_EQ(model.describe(), "U-Net(2 classes, width 2, depth 1, padded, batch norm)");
  std::vector<std::string> names;
  for (const auto& [name, tensor] : model.parameters()) names.push_back(name);
  EXPECT_EQ(names, (std::vector<std::string>{
                       "down0.conv1.weight", "down0.bn1.weight",   "down0.bn1.bias",     "down0.conv2.weight",
                       "down0.bn2.weight",   "down0.bn2.bias",     "down1.conv1.weight", "down1.bn1.weight",
                       "down1.bn1.bias",     "down1.conv2.weight", "down1.bn2.weight",   "down1.bn2.bias",
                       "join0.weight",       "join0.bias",         "up0.conv1.weight",   "up0.bn1.weight",
                       "up0.bn1.bias",       "up0.conv2.weight",   "up0.bn2.weight",     "up0.bn2.bias",
                       "head.weight",        "head.bias"}));
}

TEST(UNet, RefusesSizesOutOfRange) {
  expect_error<ArgumentError>([] { UNet({.in_channels = 0}); }, "in_channels must be 1 to", "got 0");
  expect_error<ArgumentError>([] { UNet({.classes = 0}); }, "classes");
  expect_error<ArgumentError>([] { UNet({.width = 0}); }, "width");
  expect_error<ArgumentError>([] { UNet({.depth = 9}); }, "depth must be 1 to 8, got 9");
  expect_error<Error>(
      [] {
        UNetJoin(4, Enlarge::Bilinear).forward(Tensor::zeros({1, 4, 2, 2}));
      },
      "two tensors");
}

/// The loss's gradients after one step backwards, by name; "input" first, "logits" last.
std::map<std::string, Tensor> gradients(const UNetConfig& config, Device device, MemoryFormat format,
                                        DType dtype) {
  kernels::manual_seed(4);
  UNet model(config);
  stir(model);
  model.to(dtype);
  model.to(device);
  Tensor x = kernels::to_format(random_tensor(input_of(config), 2, dtype), format).to(device);
  x.set_requires_grad();
  std::vector<std::int64_t> classes(std::size_t(output_of(config).numel() / 3));
  for (std::size_t i = 0; i < classes.size(); ++i) classes[i] = std::int64_t(i * 5 % 7 % 3);
  const Shape out = output_of(config);
  const Tensor logits = model(x);
  functional::cross_entropy(logits, Tensor::from_values(classes, {2, out[2], out[3]}, device)).backward();
  std::map<std::string, Tensor> result = {{"input", x.grad()}, {"logits", logits.detach()}};
  for (const auto& [name, tensor] : model.parameters()) result[name] = tensor.grad();
  return result;
}

TEST(UNet, GradientsReachEveryParameterAndAgreeAcrossDevicesAndFormats) {
  for (const auto& [name, config] : narrow_forms()) {
    SCOPED_TRACE(name);
    // Where nothing is padded, a norm takes away what a bias two layers before it adds everywhere.
    const auto cancels = [normed = config.batch_norm && !config.padded](const std::string& parameter) {
      return normed && parameter.starts_with("join") && parameter.ends_with("bias");
    };
    // What the others are held against: f64, where the reference implementation computes.
    const auto expected = gradients(config, Device::cpu(), MemoryFormat::Contiguous, DType::F64);
    for (const auto& [parameter, gradient] : expected) {
      if (cancels(parameter)) continue;
      double sum = 0;
      for (const double value : as_doubles(gradient)) sum += std::abs(value);
      EXPECT_GT(sum, 1e-6) << parameter;
    }
    for (const Device device : test_devices()) {
      for (const MemoryFormat format : {MemoryFormat::Contiguous, MemoryFormat::ChannelsLast}) {
        SCOPED_TRACE(to_string(device) + " " + to_string(format));
        for (const auto& [parameter, gradient] : gradients(config, device, format, DType::F32)) {
          if (cancels(parameter)) continue;
          EXPECT_LT(relative_distance(gradient, expected.at(parameter)), 1e-3) << parameter;
        }
      }
    }
  }
}

TEST(UNet, FoldedNormsGiveTheSameLogits) {
  for (const auto& [name, config] : narrow_forms()) {
    if (!config.batch_norm) continue;
    SCOPED_TRACE(name);
    const autograd::NoGrad no_grad;
    UNet model(config);
    stir(model);
    model.eval();
    const Tensor x = random_tensor(input_of(config), 3, DType::F32);
    const Tensor before = model(x);
    EXPECT_EQ(fold_batch_norm(model), 2 * (2 * config.depth + 1));
    EXPECT_LT(relative_distance(model(x), before), 1e-5);
  }
}

TEST(UNet, DropoutIsForTrainingAlone) {
  const UNetConfig config{
      .in_channels = 2, .classes = 3, .width = 3, .depth = 2, .padded = true, .dropout = 0.5};
  UNet model(config);
  const autograd::NoGrad no_grad;
  const Tensor x = random_tensor(input_of(config), 3, DType::F32);
  EXPECT_NE(as_doubles(model(x)), as_doubles(model(x)));
  model.eval();
  EXPECT_EQ(as_doubles(model(x)), as_doubles(model(x)));
}

/// Losses of a few training steps on tiny pictures of shapes.
std::vector<float> losses(Device device, int steps) {
  kernels::manual_seed(2);
  UNet model({.in_channels = 3, .classes = 9, .width = 2, .depth = 1, .padded = true, .batch_norm = true});
  model.to(device);
  const auto optimizer = make_optimizer("adam", model.parameters(), 1e-2);
  SegmentationTask task(device, 9);
  const auto data = generated_shapes({.target = TargetKind::Mask, .side = 16, .count = 2});
  DataLoader loader(data, ImagePipeline(data->image_shape(), {}, {{0.5f}, {0.23f}}),
                    {.batch_size = 2, .workers = 0, .device = device});
  std::vector<float> result;
  for (int step = 0; step < steps; ++step) {
    loader.start_epoch(0);
    const Tensor loss = task.loss(model, *loader.next());
    loss.backward();
    optimizer->step();
    result.push_back(loss.item<float>());
  }
  EXPECT_EQ(task.figures().count, 2 * steps);
  return result;
}

TEST(UNet, LearnsAndTrainsAlikeOnEveryDevice) {
  const auto expected = losses(Device::cpu(), 3);
  EXPECT_LT(losses(Device::cpu(), 60).back(), 0.5f * expected[0]);
  for (const Device device : test_devices()) {
    const auto got = losses(device, 3);
    for (std::size_t i = 0; i < got.size(); ++i) EXPECT_NEAR(got[i], expected[i], 1e-3f * expected[i]) << i;
  }
}

}  // namespace
}  // namespace dlcuda::testing

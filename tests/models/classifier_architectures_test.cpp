// What only one of the classification models has: names, counts of its variants, initial weights, options.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <string>

#include "dlcuda/core/autograd.h"
#include "dlcuda/core/error.h"
#include "dlcuda/kernels/random.h"
#include "dlcuda/models/alexnet/alexnet.h"
#include "dlcuda/models/efficientnet/efficientnet.h"
#include "dlcuda/models/googlenet/googlenet.h"
#include "dlcuda/models/mobilenet/mobilenet_v1.h"
#include "dlcuda/models/mobilenet/mobilenet_v2.h"
#include "dlcuda/models/resnet/cifar.h"
#include "dlcuda/models/resnet/course_resnet.h"
#include "dlcuda/models/resnet/resnet.h"
#include "dlcuda/models/vgg/vgg.h"
#include "dlcuda/tests/support/compare.h"
#include "dlcuda/tests/support/errors.h"
#include "dlcuda/tests/support/random_tensor.h"

namespace dlcuda::testing {
namespace {

using ::testing::Contains;
using ::testing::Key;
using ::testing::Not;

template <typename Model, typename Config>
std::int64_t parameters_of(const Config& config) {
  const init::Uninitialized no_values;
  return Model(config).parameter_count();
}

std::map<std::string, Tensor> state_of(const Module& model) {
  const NamedTensors state = model.state_dict();
  return {state.begin(), state.end()};
}

double deviation(const Tensor& x) {
  double sum = 0;
  for (const double value : as_doubles(x)) sum += value * value;
  return std::sqrt(sum / double(x.numel()));
}

TEST(AlexNet, LocalResponseNormLeavesTheNames) {
  const init::Uninitialized no_values;
  const AlexNet plain(AlexNetConfig{.hidden = 8}),
      norms(AlexNetConfig{.local_response_norm = true, .hidden = 8});
  const NamedTensors a = plain.state_dict(), b = norms.state_dict();
  ASSERT_EQ(a.size(), 16u);
  ASSERT_EQ(a.size(), b.size());
  for (std::size_t i = 0; i < a.size(); ++i) {
    EXPECT_EQ(a[i].first, b[i].first);
    EXPECT_EQ(a[i].second.shape(), b[i].second.shape());
  }
}

TEST(AlexNet, LocalResponseNormIsThere) {
  const Tensor x = random_tensor({1, 3, 63, 63}, 1, DType::F32, -30, 30);
  const autograd::NoGrad no_grad;
  std::vector<std::vector<float>> logits;
  for (const bool norm : {false, true}) {
    kernels::manual_seed(1);
    AlexNet model({.widths = {8, 8, 8, 8, 8}, .local_response_norm = norm, .hidden = 8});
    model.eval();
    logits.push_back(model(x).values<float>());
  }
  EXPECT_NE(logits[0], logits[1]);
}

TEST(AlexNet, InitialWeightsOfThePaper) {
  kernels::manual_seed(1);
  AlexNetConfig config = AlexNetConfig::paper();
  config.widths = {8, 16, 16, 16, 8};
  config.hidden = 64;
  const auto state = state_of(AlexNet(config));
  EXPECT_NEAR(deviation(state.at("features.3.weight")), 0.01, 1e-3);
  for (const auto& [layer, bias] : std::map<std::string, double>{{"features.0", 0},
                                                                 {"features.3", 1},
                                                                 {"features.6", 0},
                                                                 {"features.8", 1},
                                                                 {"features.10", 1},
                                                                 {"classifier.1", 1},
                                                                 {"classifier.4", 1},
                                                                 {"classifier.6", 0}}) {
    for (const double value : as_doubles(state.at(layer + ".bias"))) EXPECT_EQ(value, bias) << layer;
  }
}

TEST(Vgg, NamesFollowTheListOfLayers) {
  const init::Uninitialized no_values;
  const auto plain = state_of(Vgg(VggConfig{.depths = {1, 1, 2, 1, 1}, .width = 4, .hidden = 8}));
  for (const char* name : {"features.0.bias", "features.3.weight", "features.6.weight", "features.8.weight",
                           "features.11.weight", "classifier.6.bias"}) {
    EXPECT_THAT(plain, Contains(Key(std::string(name))));
  }
  const auto norms =
      state_of(Vgg(VggConfig{.depths = {1, 1, 2, 1, 1}, .batch_norm = true, .width = 4, .hidden = 8}));
  for (const char* name :
       {"features.0.bias", "features.1.running_var", "features.4.weight", "features.8.weight",
        "features.11.weight", "features.12.bias", "features.15.weight"}) {
    EXPECT_THAT(norms, Contains(Key(std::string(name))));
  }
}

TEST(Vgg, InitialWeightsOfTorchvision) {
  kernels::manual_seed(1);
  const auto state =
      state_of(Vgg(VggConfig{.depths = {1, 1, 1, 1, 1}, .width = 16, .pooled = 1, .hidden = 512}));
  EXPECT_NEAR(deviation(state.at("features.6.weight")), std::sqrt(2.0 / (64 * 9)), 2e-3);
  EXPECT_EQ(deviation(state.at("features.6.bias")), 0);
  EXPECT_NEAR(deviation(state.at("classifier.0.weight")), 0.01, 2e-4);
}

TEST(Vgg, SmallImagesHaveANarrowClassifier) {
  const init::Uninitialized no_values;
  const auto state = state_of(Vgg(VggConfig::vgg16(true).for_small_images()));
  EXPECT_EQ(state.at("classifier.0.weight").shape(), (Shape{512, 512}));
  EXPECT_THAT(state, Contains(Key(std::string("features.41.running_mean"))));
}

TEST(GoogLeNet, AuxiliaryClassifiersServeTrainingOnly) {
  kernels::manual_seed(2);
  GoogLeNet model({.auxiliary = true, .width = 0.1, .classes = 4});
  const Tensor x = random_tensor({3, 3, 40, 40}, 1, DType::F32);
  const auto [logits, first, second] = model.with_auxiliary(x);
  for (const Tensor& output : {logits, first, second}) EXPECT_EQ(output.shape(), (Shape{3, 4}));
  model.eval();
  const GoogLeNet::Output inference = model.with_auxiliary(x);
  EXPECT_FALSE(inference.auxiliary1.defined() || inference.auxiliary2.defined());
  EXPECT_EQ(inference.logits.values<float>(), model(x).values<float>());

  GoogLeNet without({.width = 0.1, .classes = 4});
  EXPECT_FALSE(without.with_auxiliary(x).auxiliary1.defined());
  EXPECT_THAT(state_of(without), Not(Contains(Key(std::string("aux1.conv.conv.weight")))));
}

TEST(GoogLeNet, LossCountsAuxiliaryClassifiersByAThird) {
  GoogLeNet model({.auxiliary = true, .dropout = 0, .auxiliary_dropout = 0, .width = 0.1, .classes = 4});
  const Tensor x = random_tensor({3, 3, 40, 40}, 1, DType::F32);
  const Tensor labels = Tensor::from_values(std::vector<std::int64_t>{0, 3, 1}, Shape{3});
  const auto [logits, first, second] = model.with_auxiliary(x);
  const auto loss = [&](const Tensor& y) {
    return double(functional::cross_entropy(y, labels).item<float>());
  };
  EXPECT_NEAR(model.loss(x, labels).item<float>(), loss(logits) + 0.3 * (loss(first) + loss(second)), 1e-5);
}

TEST(GoogLeNet, CountsAndInitialWeightsOfTorchvision) {
  EXPECT_EQ(parameters_of<GoogLeNet>(GoogLeNetConfig{.auxiliary = true}), 13'004'888);
  kernels::manual_seed(1);
  const auto state = state_of(GoogLeNet({.width = 0.25}));
  EXPECT_NEAR(deviation(state.at("fc.weight")), 0.01, 1e-4);
  EXPECT_NEAR(deviation(state.at("fc.bias")), std::sqrt(1.0 / 256 / 3), 3e-3);
}

TEST(MobileNet, WidthMultipliers) {
  // Keras' MobileNets without their running statistics.
  EXPECT_EQ(parameters_of<MobileNetV1>(MobileNetV1Config{.width = 0.25}), 470'072);
  EXPECT_EQ(parameters_of<MobileNetV1>(MobileNetV1Config{.width = 0.5}), 1'331'592);
  EXPECT_EQ(parameters_of<MobileNetV1>(MobileNetV1Config{.width = 0.75}), 2'585'560);
  // torchvision's mobilenet_v2(width_mult=...)
  EXPECT_EQ(parameters_of<MobileNetV2>(MobileNetV2Config{.width = 0.35}), 1'677'128);
  EXPECT_EQ(parameters_of<MobileNetV2>(MobileNetV2Config{.width = 0.75}), 2'636'424);
  EXPECT_EQ(parameters_of<MobileNetV2>(MobileNetV2Config{.width = 1.4}), 6'108'776);
}

TEST(EfficientNet, ThereAreB0ToB7) {
  EXPECT_EQ(EfficientNetConfig::b(7).depth, 3.1);
  expect_error<ArgumentError>([] { EfficientNetConfig::b(8); }, "B0 to B7", "B8");
  expect_error<ArgumentError>([] { EfficientNetConfig::b(-1); }, "B-1");
}

TEST(EfficientNet, BlocksAreDroppedMoreOftenTowardsTheEnd) {
  const init::Uninitialized no_values;
  const EfficientNet model(EfficientNetConfig::b(0));
  std::vector<std::string> drops;
  const auto find = [&](const auto& self, const Module& module) -> void {
    if (dynamic_cast<const StochasticDepth*>(&module)) drops.push_back(module.describe());
    for (const auto& [name, child] : module.children()) self(self, *child);
  };
  find(find, model);
  ASSERT_EQ(drops.size(), 16u);
  for (std::size_t i = 0; i < 16; ++i) EXPECT_EQ(drops[i], StochasticDepth(0.2 * double(i) / 16).describe());
}

TEST(EfficientNet, DroppedBlocksPassTheirInput) {
  MbConv block({.in_channels = 4,
                .out_channels = 4,
                .kernel = 3,
                .stride = 1,
                .expansion = 6,
                .stochastic_depth = 1,
                .epsilon = 1e-5,
                .momentum = 0.1});
  const Tensor x = random_tensor({2, 4, 5, 5}, 1, DType::F32);
  EXPECT_EQ(block(x).values<float>(), x.values<float>());
  block.eval();
  EXPECT_NE(block(x).values<float>(), x.values<float>());
}

TEST(EfficientNet, InitialWeightsOfTorchvision) {
  kernels::manual_seed(1);
  const auto state = state_of(EfficientNet({.width = 0.5, .depth = 0.1}));
  EXPECT_NEAR(deviation(state.at("classifier.1.weight")), std::sqrt(1.0 / 1000 / 3), 1e-4);
  EXPECT_EQ(deviation(state.at("classifier.1.bias")), 0);
  EXPECT_NEAR(deviation(state.at("features.8.0.weight")), std::sqrt(2.0 / 640), 1e-3);
}

TEST(CifarResNet, ShortcutsTakeEverySecondPixelAndZeros) {
  CifarBlock block(2, 3, 2);
  // Norms that multiply by 0 leave the shortcut alone.
  for (auto& [name, tensor] : block.state_dict()) {
    if (name == "bn2.weight") tensor.zero();
  }
  std::vector<float> pixels(2 * 3 * 3);
  for (std::size_t i = 0; i < pixels.size(); ++i) pixels[i] = float(i + 1);
  for (const MemoryFormat format : {MemoryFormat::Contiguous, MemoryFormat::ChannelsLast}) {
    const Tensor x = Tensor::from_values(pixels, Shape{1, 2, 3, 3});
    const Tensor y = block(kernels::to_format(x, format));
    EXPECT_EQ(y.values<float>(), (std::vector<float>{1, 3, 7, 9, 10, 12, 16, 18, 0, 0, 0, 0}));
  }
}

TEST(CourseResNet, HasTheValuesAndNamesOfTheKerasModel) {
  const init::Uninitialized no_values;
  const CourseResNet model;
  std::int64_t statistics = 0;
  for (const auto& [name, tensor] : model.buffers()) {
    if (tensor.dtype() == DType::F32) statistics += tensor.numel();
  }
  EXPECT_EQ(statistics, 53'120);
  EXPECT_EQ(model.parameter_count() + statistics, 23'600'006);
  const auto state = state_of(model);
  EXPECT_EQ(state.at("conv1.weight").shape(), (Shape{64, 3, 7, 7}));
  EXPECT_EQ(state.at("bn_conv1.running_mean").shape(), Shape{64});
  EXPECT_EQ(state.at("res2a_branch1.weight").shape(), (Shape{256, 64, 1, 1}));
  EXPECT_EQ(state.at("bn3d_branch2b.bias").shape(), Shape{128});
  EXPECT_EQ(state.at("res4f_branch2c.bias").shape(), Shape{1024});
  EXPECT_EQ(state.at("fc.weight").shape(), (Shape{6, 2048}));
}

TEST(ResNet, SmallInputsKeepTheirSizeInTheStem) {
  const init::Uninitialized no_values;
  const ResNet model({.depths = {1, 1, 1, 1}, .small_input = true});
  EXPECT_EQ(state_of(model).at("conv1.weight").shape(), (Shape{64, 3, 3, 3}));
}

TEST(SmallInputs, MapsAreTwiceAsLarge) {
  std::map<std::string, Shape> largest;
  const autograd::NoGrad no_grad;
  const Tensor x = Tensor::zeros({1, 3, 32, 32});
  const auto last_map = [&](Module&& model) {
    Shape shape;
    model.eval();
    const ForwardObserver observer([&](const Module& module, const Tensor& output) {
      if (output.rank() == 4 && !dynamic_cast<const AdaptiveAvgPool2d*>(&module)) shape = output.shape();
    });
    (void)model(x);
    return shape;
  };
  EXPECT_EQ(last_map(MobileNetV1({.width = 0.25})), (Shape{1, 256, 1, 1}));
  EXPECT_EQ(last_map(MobileNetV1({.width = 0.25, .small_input = true})), (Shape{1, 256, 2, 2}));
  EXPECT_EQ(last_map(MobileNetV2({.width = 0.25})), (Shape{1, 1280, 1, 1}));
  EXPECT_EQ(last_map(MobileNetV2({.width = 0.25, .small_input = true})), (Shape{1, 1280, 4, 4}));
  EXPECT_EQ(last_map(EfficientNet({.width = 0.25, .depth = 0.1})), (Shape{1, 320, 1, 1}));
  EXPECT_EQ(last_map(EfficientNet({.width = 0.25, .depth = 0.1, .small_input = true})),
            (Shape{1, 320, 2, 2}));
}

}  // namespace
}  // namespace dlcuda::testing

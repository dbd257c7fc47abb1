// What every classification model must do, on narrow variants of each.
#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "dlcuda/core/autograd.h"
#include "dlcuda/core/error.h"
#include "dlcuda/kernels/copy.h"
#include "dlcuda/kernels/random.h"
#include "dlcuda/layers/blocks.h"
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
#include "dlcuda/tests/support/devices.h"
#include "dlcuda/tests/support/errors.h"
#include "dlcuda/tests/support/random_tensor.h"
#include "dlcuda/tests/support/stir.h"

namespace dlcuda::testing {
namespace {

constexpr std::int64_t kBatch = 3, kChannels = 2, kClasses = 5;

struct Narrow {
  std::string name;
  std::int64_t side;   // of the images
  std::int64_t least;  // of the images that it takes
  std::function<std::unique_ptr<Module>()> make;
  friend void PrintTo(const Narrow& model, std::ostream* out) { *out << model.name; }
};

template <typename Model, typename Config>
Narrow narrow(const std::string& name, std::int64_t side, std::int64_t least, Config config) {
  config.in_channels = kChannels;
  config.classes = kClasses;
  return {name, side, least, [config] { return std::make_unique<Model>(config); }};
}

std::vector<Narrow> narrow_models() {
  const VggConfig vgg{.depths = {1, 1, 2, 1, 1}, .width = 3, .pooled = 2, .hidden = 7};
  VggConfig vgg_bn = vgg;
  vgg_bn.batch_norm = true;
  return {narrow<AlexNet>("AlexNet", 67, 63, AlexNetConfig{.widths = {4, 6, 8, 6, 6}, .hidden = 12}),
          narrow<AlexNet>("AlexNetOfThePaper", 63, 63,
                          AlexNetConfig{.widths = {6, 8, 8, 8, 6},
                                        .groups = 2,
                                        .local_response_norm = true,
                                        .hidden = 12,
                                        .initial_weights_of_paper = true}),
          narrow<Vgg>("Vgg", 33, 32, vgg),
          narrow<Vgg>("VggWithNorms", 32, 32, vgg_bn),
          narrow<GoogLeNet>("GoogLeNet", 33, 15, GoogLeNetConfig{.auxiliary = true, .width = 0.1}),
          narrow<MobileNetV1>("MobileNetV1", 12, 1, MobileNetV1Config{.width = 0.1, .small_input = true}),
          narrow<MobileNetV2>("MobileNetV2", 12, 1, MobileNetV2Config{.width = 0.1, .small_input = true}),
          narrow<EfficientNet>("EfficientNet", 12, 1,
                               EfficientNetConfig{.width = 0.1, .depth = 0.5, .small_input = true}),
          narrow<ResNet>("ResNet", 17, 1, ResNetConfig{.depths = {1, 1, 1, 1}, .width = 4}),
          narrow<ResNet>(
              "ResNetOfBottlenecks", 12, 1,
              ResNetConfig{.bottleneck = true, .depths = {1, 2, 1, 1}, .width = 2, .small_input = true}),
          narrow<CifarResNet>("CifarResNet", 13, 1, CifarResNetConfig{.blocks = 2, .width = 4}),
          narrow<CourseResNet>("CourseResNet", 40, 5, CourseResNetConfig{.width = 2})};
}

Tensor images(std::int64_t side, std::int64_t channels = kChannels) {
  return random_tensor({kBatch, channels, side, side + 1}, 1, DType::F32, -1, 1);
}

Tensor labels() { return Tensor::from_values(std::vector<std::int64_t>{1, 4, 0}, Shape{kBatch}); }

Tensor loss_of(Module& model, const Tensor& x) {
  const Tensor truth = labels().to(x.device());
  if (auto* const googlenet = dynamic_cast<GoogLeNet*>(&model)) return googlenet->loss(x, truth);
  return functional::cross_entropy(model(x), truth);
}

/// Loss and gradients by name, "x" those of the images.
std::map<std::string, Tensor> gradients(Module& model, const Tensor& images) {
  Tensor x = images.detach();
  x.set_requires_grad();
  const Tensor loss = loss_of(model, x);
  loss.backward();
  std::map<std::string, Tensor> result{{"loss", loss.detach()}, {"x", x.grad()}};
  for (const auto& [name, parameter] : model.parameters()) result[name] = parameter.grad();
  return result;
}

class Classifiers : public ::testing::TestWithParam<Narrow> {
 protected:
  std::unique_ptr<Module> make() const {
    kernels::manual_seed(11);
    auto model = GetParam().make();
    stir(*model);
    return model;
  }
};

TEST_P(Classifiers, GivesALogitForEachClassInBothModes) {
  const auto model = make();
  const autograd::NoGrad no_grad;
  for (const bool training : {true, false}) {
    model->train(training);
    const Tensor y = (*model)(images(GetParam().side));
    ASSERT_EQ(y.shape(), (Shape{kBatch, kClasses}));
    for (const float logit : y.values<float>()) EXPECT_TRUE(std::isfinite(logit));
  }
  // An image by itself is what it was among others.
  const Tensor x = images(GetParam().side);
  const Tensor all = (*model)(x), first = (*model)(kernels::contiguous(x.slice(0, 1)));
  EXPECT_LT(relative_distance(first, all.slice(0, 1)), 1e-5);
  EXPECT_EQ((*model)(images(GetParam().side + 14)).shape(), (Shape{kBatch, kClasses}));
}

TEST_P(Classifiers, GradientsReachEveryParameter) {
  const auto model = make();
  for (const auto& [name, gradient] : gradients(*model, images(GetParam().side))) {
    ASSERT_TRUE(gradient.defined()) << name;
    double sum = 0;
    for (const double value : as_doubles(gradient)) sum += std::abs(value);
    EXPECT_TRUE(std::isfinite(sum) && sum > 0) << name << ": " << sum;
  }
}

TEST_P(Classifiers, BothMemoryFormatsAgree) {
  const auto model = make();
  model->eval();
  const Tensor x = images(GetParam().side);
  const auto contiguous = gradients(*model, x);
  const auto channels_last = gradients(*model, kernels::to_format(x, MemoryFormat::ChannelsLast));
  for (const auto& [name, gradient] : contiguous) {
    if (gradient.defined()) {  // not of auxiliary classifiers
      EXPECT_LT(relative_distance(channels_last.at(name), gradient), 1e-4) << name;
    }
  }
}

/// Their running statistics serve: batch statistics over a handful of values magnify rounding.
void settle_norms(const Module& module) {
  for (const auto& [name, child] : module.children()) {
    if (dynamic_cast<const BatchNorm2d*>(child)) child->eval();
    settle_norms(*child);
  }
}

TEST_P(Classifiers, AllDevicesAgree) {
  const CudaForTest cuda = cuda_for_test();
  if (!cuda.available) GTEST_SKIP() << cuda.reason;
  const auto on = [&](Device device) {
    const auto model = make();
    model->to(device);
    settle_norms(*model);  // all else is in training: the same samples and elements are dropped
    return gradients(*model, images(GetParam().side).to(device));
  };
  const auto cpu = on(Device::cpu()), gpu = on(Device::cuda());
  for (const auto& [name, gradient] : cpu) {
    EXPECT_LT(relative_distance(gpu.at(name), gradient), 1e-4) << name;
  }
}

TEST_P(Classifiers, FoldedNormsComputeTheSame) {
  const auto model = make();
  const autograd::NoGrad no_grad;
  model->eval();
  const Tensor x = images(GetParam().side);
  const Tensor before = (*model)(x);
  fold_batch_norm(*model);
  EXPECT_LT(relative_distance((*model)(x), before), 1e-4);
}

TEST_P(Classifiers, LogitsInBf16) {
  const auto model = make();
  const autograd::NoGrad no_grad;
  model->eval();
  const Tensor x = images(GetParam().side);
  const Tensor exact = (*model)(x);
  model->to(DType::BF16);
  const Tensor y = (*model)(kernels::cast(x, DType::BF16));
  EXPECT_EQ(y.dtype(), DType::BF16);
  EXPECT_LT(relative_distance(y, exact), 2e-2);
}

TEST_P(Classifiers, SaysWhatImagesItTakes) {
  const auto model = make();
  const std::string name = model->describe(), least = std::to_string(GetParam().least);
  expect_error<ShapeError>([&] { (*model)(images(GetParam().side, kChannels + 1)); }, name,
                           "expected images (N, 2, H, W)");
  expect_error<ShapeError>([&] { (*model)(Tensor::zeros({kBatch, kChannels})); }, name, "got shape [3, 2]");
  expect_error<ShapeError>(
      [&] {
        (*model)(Tensor::zeros({kBatch, kChannels, GetParam().least - 1, 99}));
      },
      name, "at least " + least + " x " + least);
  model->eval();
  const autograd::NoGrad no_grad;
  EXPECT_EQ((*model)(Tensor::zeros({1, kChannels, GetParam().least, GetParam().least})).shape(),
            (Shape{1, kClasses}));
}

INSTANTIATE_TEST_SUITE_P(Narrow, Classifiers, ::testing::ValuesIn(narrow_models()),
                         [](const auto& one) { return one.param.name; });

}  // namespace
}  // namespace dlcuda::testing

#include "dlcuda/layers/blocks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "dlcuda/core/autograd.h"
#include "dlcuda/core/error.h"
#include "dlcuda/kernels/arithmetic.h"
#include "dlcuda/tests/support/compare.h"
#include "dlcuda/tests/support/devices.h"
#include "dlcuda/tests/support/errors.h"
#include "dlcuda/tests/support/random_tensor.h"
#include "dlcuda/tests/support/stir.h"

namespace dlcuda::testing {
namespace {

using functional::Activation;
using ::testing::ElementsAre;

std::vector<std::string> names(const Module& module) {
  std::vector<std::string> result;
  for (const auto& [name, tensor] : module.state_dict()) result.push_back(name);
  return result;
}

TEST(Blocks, InlineChildrenAreNamedAsTheParentsOwn) {
  struct Parent : Module {
    ConvBnAct first, second;
    Linear head{4, 2};
    Parent()
        : first({.conv = same_conv(2, 4, 3), .conv_name = "conv1", .norm_name = "bn1"}),
          second({.conv = same_conv(4, 4, 3)}) {
      register_inline(&first);
      register_module("block", &second);
      register_module("head", &head);
    }
    void clash() { register_inline(&first); }
    Tensor forward(const Tensor& x) override { return second(first(x)); }
    std::string describe() const override { return "Parent"; }
  } parent;
  EXPECT_THAT(names(parent),
              ElementsAre("conv1.weight", "bn1.weight", "bn1.bias", "bn1.running_mean", "bn1.running_var",
                          "bn1.num_batches_tracked", "block.0.weight", "block.1.weight", "block.1.bias",
                          "block.1.running_mean", "block.1.running_var", "block.1.num_batches_tracked",
                          "head.weight", "head.bias"));
  expect_error<ArgumentError>([&] { parent.clash(); }, "conv1", "taken");
}

TEST(Blocks, FoldingKeepsWhatInferenceComputes) {
  for (const Device device : test_devices()) {
    for (const Activation kind :
         {Activation::Relu, Activation::Relu6, Activation::Silu, Activation::Identity}) {
      for (const MemoryFormat format : {MemoryFormat::Contiguous, MemoryFormat::ChannelsLast}) {
        SCOPED_TRACE(to_string(device) + " " + std::to_string(int(kind)) + " " + to_string(format));
        ConvBnAct block({.conv = same_conv(3, 8, 3, 2), .activation = {.kind = kind}});
        stir(block);
        block.to(device);
        block.eval();
        const autograd::NoGrad no_grad;
        const Tensor x = kernels::to_format(random_tensor({2, 3, 7, 5}, 90, DType::F32), format).to(device);
        const Tensor residual =
            kernels::to_format(random_tensor({2, 8, 4, 3}, 91, DType::F32), format).to(device);
        const Tensor expected = kernels::cast(block(x).to(Device::cpu()), DType::F64);
        const Tensor added = kernels::cast(block(x, residual).to(Device::cpu()), DType::F64);
        EXPECT_EQ(fold_batch_norm(block), 1);
        EXPECT_EQ(fold_batch_norm(block), 0);
        EXPECT_THAT(names(block), ElementsAre("0.weight", "0.bias"));
        expect_close(block(x).to(Device::cpu()), expected);
        expect_close(block(x, residual).to(Device::cpu()), added);
      }
    }
  }
}

TEST(Blocks, AFoldedBlockTrains) {
  for (const Device device : test_devices()) {
    SCOPED_TRACE(to_string(device));
    ConvBnAct block({.conv = same_conv(3, 4, 3)});
    stir(block);
    block.fold();
    block.to(device);
    const Tensor x = random_tensor({2, 3, 5, 5}, 1, DType::F32).to(device);
    const Tensor recorded = block(x);
    functional::sum(recorded).backward();
    ASSERT_EQ(block.parameters().size(), 2u);
    for (const auto& [name, parameter] : block.parameters()) EXPECT_TRUE(parameter.grad().defined()) << name;
    const autograd::NoGrad no_grad;
    expect_close(block(x).to(Device::cpu()), kernels::cast(recorded.detach().to(Device::cpu()), DType::F64));
  }
}

TEST(Blocks, ReplacedWeightsMustFit) {
  Conv2d conv(same_conv(3, 4, 3));
  const Tensor weight = Tensor::zeros({4, 3, 3, 3});
  expect_error<ShapeError>([&] { conv.replace(weight, {}); }, "bias", "[4]", "none");
  expect_error<ShapeError>(
      [&] {
        conv.replace(Tensor::zeros({4, 3, 3, 1}), Tensor::zeros({4}));
      },
      "weight", "[4, 3, 3, 3]", "[4, 3, 3, 1]");
}

TEST(Blocks, ConvActIsAConvolutionAndAnActivation) {
  const ConvAct block("3", with_bias(same_conv(2, 4, 3)), {.kind = Activation::Relu6});
  EXPECT_THAT(names(block), ElementsAre("3.weight", "3.bias"));
  EXPECT_EQ(block.describe(), "ConvAct(Conv2d(2, 4, kernel 3x3, padding 1x1), Relu6())");
  ConvAct act("conv", with_bias(same_conv(2, 4, 3)), {.kind = Activation::Relu6});
  const Tensor x = random_tensor({2, 2, 5, 5}, 1, DType::F32, -9, 9);
  const auto& [weight, bias] = std::pair(act.state_dict()[0].second, act.state_dict()[1].second);
  const Tensor expected = functional::relu6(functional::conv2d(x, weight, bias, {.padding = {1, 1, 1, 1}}));
  expect_close(act(x).detach(), expected);
  const autograd::NoGrad no_grad;
  expect_close(act(x), expected);
}

TEST(Blocks, NestedAddsAName) {
  EXPECT_THAT(names(Nested("conv", std::make_unique<Linear>(3, 2))), ElementsAre("conv.weight", "conv.bias"));
  Nested nested("conv", std::make_unique<Linear>(3, 2));
  EXPECT_EQ(nested.describe(), "Linear(3, 2)");
  EXPECT_EQ(nested(Tensor::zeros({5, 3})).shape(), (Shape{5, 2}));
  expect_error<ArgumentError>([] { Nested("conv", nullptr); }, "null");
}

TEST(Blocks, SqueezeExcitationScalesChannels) {
  for (const Device device : test_devices()) {
    SqueezeExcitation block(4, 2);
    EXPECT_THAT(names(block), ElementsAre("fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias"));
    stir(block);
    const NamedTensors state = block.state_dict();
    const Tensor x = random_tensor({2, 4, 3, 2}, 5, DType::F32);
    const Tensor squeezed = functional::flatten(functional::global_avg_pool2d(x));
    const auto matrix = [](const Tensor& weight) { return weight.view({weight.size(0), weight.size(1)}); };
    const Tensor gate = functional::sigmoid(functional::linear(
        functional::silu(functional::linear(squeezed, matrix(state[0].second), state[1].second)),
        matrix(state[2].second), state[3].second));
    block.to(device);
    expect_close(block(x.to(device)).detach(), functional::multiply(x, gate.view({2, 4, 1, 1})));
  }
}

}  // namespace
}  // namespace dlcuda::testing

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

namespace dlcuda::testing {
namespace {

using functional::Activation;
using ::testing::ElementsAre;

std::vector<std::string> names(const Module& module) {
  std::vector<std::string> result;
  for (const auto& [name, tensor] : module.state_dict()) result.push_back(name);
  return result;
}

/// Statistics and parameters that are not those of a fresh layer.
void stir(Module& module) {
  std::uint32_t ordinal = 0;
  NamedTensors state;
  for (const auto& [name, tensor] : module.state_dict()) {
    const bool positive = name.ends_with("running_var");
    state.emplace_back(name,
                       tensor.dtype() == DType::I64
                           ? tensor
                           : random_tensor(tensor.shape(), ++ordinal, DType::F32, positive ? 0.5 : -1, 1));
  }
  module.load_state_dict(state);
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

}  // namespace
}  // namespace dlcuda::testing

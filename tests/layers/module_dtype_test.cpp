// Module::to(DType): what is cast, what is not, and what the model computes then.
#include <gtest/gtest.h>

#include "dlcuda/core/error.h"
#include "dlcuda/tests/support/compare.h"
#include "dlcuda/tests/support/errors.h"
#include "dlcuda/tests/support/random_tensor.h"
#include "dlcuda/tests/support/small_resnet.h"

namespace dlcuda {
namespace {

using testing::SmallResNet;

bool is_norm(const std::string& name) {
  return name.starts_with("norm.") || name.find("bn") != std::string::npos;
}

TEST(ModuleDType, NormalisationsKeepF32AndCountersStayIntegers) {
  for (const DType dtype : {DType::BF16, DType::F16, DType::F32, DType::F64}) {
    SCOPED_TRACE(to_string(dtype));
    SmallResNet model(2);
    model.to(dtype);
    for (const auto& [name, tensor] : model.state_dict()) {
      const DType expected = name.ends_with("num_batches_tracked")  ? DType::I64
                             : is_norm(name) && dtype != DType::F64 ? DType::F32
                                                                    : dtype;
      EXPECT_EQ(tensor.dtype(), expected) << name;
    }
    for (const auto& [name, parameter] : model.parameters()) EXPECT_TRUE(parameter.requires_grad()) << name;
  }
}

TEST(ModuleDType, OtherNormalisationsKeepF32Too) {
  GroupNorm group(1, 2);
  LayerNorm layer({2});
  group.to(DType::BF16);
  layer.to(DType::BF16);
  EXPECT_EQ(group.parameters()[0].second.dtype(), DType::F32);
  EXPECT_EQ(layer.parameters()[1].second.dtype(), DType::F32);
  const Tensor x = random_tensor({2, 2}, 0, DType::BF16);
  EXPECT_EQ(group(x).dtype(), DType::BF16);
  EXPECT_EQ(layer(x).dtype(), DType::BF16);
}

TEST(ModuleDType, TheModelComputesNearlyTheSame) {
  for (const Device device : testing::test_devices()) {
    for (const DType dtype : {DType::BF16, DType::F16}) {
      for (const bool training : {true, false}) {
        SCOPED_TRACE(to_string(device) + ", " + std::string(to_string(dtype)));
        SmallResNet model(2);
        model.to(device);
        model.train(training);
        const Tensor x = random_tensor({2, 3, 4, 4}, 1, DType::F32);
        const Tensor expected = kernels::cast(model(x.to(device)).detach().to(Device::cpu()), DType::F64);
        model.to(dtype);
        const Tensor actual = model(kernels::cast(x, dtype).to(device)).detach();
        EXPECT_EQ(actual.dtype(), dtype);
        // Seven layers round to 8 bits, and logits are differences of what they give.
        testing::expect_close(actual, expected, {.relative = 2e-2, .absolute = 2e-2});
      }
    }
  }
}

TEST(ModuleDType, GradientsComeWithTheDTypeOfTheirParameters) {
  SmallResNet model(2);
  model.to(DType::BF16);
  const Tensor logits = model(random_tensor({2, 3, 4, 4}, 1, DType::BF16));
  functional::cross_entropy(logits, Tensor::from_values<std::int64_t>({1, 7}, {2})).backward();
  for (const auto& [name, parameter] : model.parameters()) {
    EXPECT_EQ(parameter.grad().dtype(), is_norm(name) ? DType::F32 : DType::BF16) << name;
  }
}

TEST(ModuleDType, ThereAndBackKeepsWhatFits) {
  Linear linear(2, 1);
  linear.load_state_dict(
      {{"weight", Tensor::from_values({1.5f, -2.0f}, {1, 2})}, {"bias", Tensor::zeros({1})}});
  linear.to(DType::BF16);
  linear.to(DType::F32);
  EXPECT_EQ(linear.parameters()[0].second.values<float>(), (std::vector<float>{1.5f, -2.0f}));
}

TEST(ModuleDType, IntegersAreRefused) {
  Linear linear(2, 1);
  expect_error<DTypeError>([&] { linear.to(DType::I32); }, "floating-point", "got i32");
  EXPECT_EQ(linear.parameters()[0].second.dtype(), DType::F32);
}

}  // namespace
}  // namespace dlcuda

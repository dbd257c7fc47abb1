// Weights of convolutions in channels-last: the same names, files, results and gradients.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "dlcuda/core/error.h"
#include "dlcuda/kernels/arithmetic.h"
#include "dlcuda/kernels/copy.h"
#include "dlcuda/layers/blocks.h"
#include "dlcuda/layers/weights.h"
#include "dlcuda/optim/optimizer.h"
#include "dlcuda/tests/support/compare.h"
#include "dlcuda/tests/support/devices.h"
#include "dlcuda/tests/support/errors.h"
#include "dlcuda/tests/support/file_text.h"
#include "dlcuda/tests/support/random_tensor.h"
#include "dlcuda/tests/support/stir.h"
#include "dlcuda/tests/support/temp_folder.h"

namespace dlcuda::testing {
namespace {

namespace F = functional;

constexpr MemoryFormat kLast = MemoryFormat::ChannelsLast, kPlanes = MemoryFormat::Contiguous;

/// Of every kind of weight: ordinary, grouped, depthwise, transposed with taps that meet and that do not.
class Net : public Module {
 public:
  Net() {
    register_module("first", &first_);
    register_module("grouped", &grouped_);
    register_module("depthwise", &depthwise_);
    register_module("enlarge", &enlarge_);
    register_module("overlap", &overlap_);
    register_module("head", &head_);
    stir(*this);
  }
  Tensor forward(const Tensor& x) override {
    const Tensor y = overlap_(enlarge_(depthwise_(grouped_(first_(x)))));
    return head_(F::flatten(F::adaptive_avg_pool2d(y, {1, 1})));
  }
  std::string describe() const override { return "Net()"; }

 private:
  ConvBnAct first_{{.conv = same_conv(3, 4, 3)}};
  Conv2d grouped_{with_bias(same_conv(4, 4, 3, 2, 2))};
  Conv2d depthwise_{same_conv(4, 4, 3, 1, 4)};
  ConvTranspose2d enlarge_{
      {.in_channels = 4, .out_channels = 3, .kernel = {2, 2}, .params = {.stride = {2, 2}}}};
  ConvTranspose2d overlap_{{.in_channels = 3, .out_channels = 2, .kernel = {3, 3}}};
  Linear head_{2, 2};
};

TEST(WeightFormat, NamesValuesAndFilesStay) {
  Net net;
  const TempFolder folder;
  save_weights(net, folder / "before.safetensors");
  const auto before = net.state_dict();
  net.to(kLast);
  save_weights(net, folder / "after.safetensors");
  EXPECT_EQ(read_text(folder / "after.safetensors"), read_text(folder / "before.safetensors"));
  const auto after = net.state_dict();
  ASSERT_EQ(after.size(), before.size());
  for (std::size_t i = 0; i < after.size(); ++i) {
    EXPECT_EQ(after[i].first, before[i].first);
    EXPECT_EQ(as_doubles(after[i].second), as_doubles(before[i].second));
    if (after[i].second.rank() != 4) continue;
    EXPECT_TRUE(after[i].second.is_channels_last()) << after[i].first;
  }
  for (const auto& [name, parameter] : net.parameters()) EXPECT_TRUE(parameter.requires_grad()) << name;

  Net other;
  other.to(kLast);
  Tensor first = other.state_dict()[0].second;
  kernels::fill(first, 9);
  load_weights(other, folder / "before.safetensors");
  EXPECT_EQ(as_doubles(other.state_dict()[0].second), as_doubles(before[0].second));
}

TEST(WeightFormat, FollowsThePicturesOnCudaOnly) {
  for (const Device device : test_devices()) {
    SCOPED_TRACE(to_string(device));
    Net net;
    const auto lies_contiguous = [&] { return net.parameters()[0].second.is_contiguous(); };
    net.to(device, kLast);
    EXPECT_EQ(lies_contiguous(), device.is_cpu());
    net.to(device, kPlanes);
    EXPECT_TRUE(lies_contiguous());
  }
}

/// Values of a tensor, wherever it lies.
Tensor wide(const Tensor& x) { return kernels::cast(kernels::contiguous(x).to(Device::cpu()), DType::F64); }

/// The loss after some steps, then all parameters and their last gradients.
std::vector<Tensor> train(const Variant& v, MemoryFormat weights) {
  Net net;
  net.to(v.dtype);
  net.to(v.device);
  net.to(weights);
  Adam adam(net.parameters(), 1e-2);
  std::vector<Tensor> results;
  for (std::uint32_t step = 0; step < 2; ++step) {
    const Tensor x = kernels::to_format(random_tensor({2, 3, 5, 6}, step, v.dtype), v.format).to(v.device);
    const Tensor y = net(x);
    const Tensor loss = F::sum(F::square(v.dtype == DType::F64 ? y : F::cast(y, DType::F32)));
    loss.backward();
    adam.step();
    if (step == 1) results.push_back(wide(loss));
  }
  for (const auto& [name, parameter] : net.parameters()) {
    EXPECT_EQ(parameter.grad().format(), parameter.format()) << name;
    results.push_back(wide(parameter));
    results.push_back(wide(parameter.grad()));
  }
  return results;
}

TEST(WeightFormat, TrainsToTheSameParameters) {
  for (const Variant& v : variants(true)) {
    if (v.dtype == DType::F16) continue;  // as bf16, in fewer steps to zero
    SCOPED_TRACE(to_string(v));
    const std::vector<Tensor> expected = train(v, kPlanes), found = train(v, kLast);
    ASSERT_EQ(found.size(), expected.size());
    for (std::size_t i = 0; i < found.size(); ++i) {
      SCOPED_TRACE(i);
      // Through five layers, and by kernels that add up in another order.
      EXPECT_LT(relative_distance(found[i], expected[i]), v.dtype == DType::BF16 ? 3e-2 : 1e-4);
    }
  }
}

TEST(WeightFormat, PicturesOfOnePixelMeetAnyWeight) {
  for (const Device device : test_devices()) {
    SCOPED_TRACE(to_string(device));
    const F::Conv2dParams params{.padding = {1, 1, 1, 1}};
    const Tensor x = random_tensor({2, 3, 1, 1}, 0, DType::F32).to(device);
    const Tensor weight = random_tensor({4, 3, 3, 3}, 1, DType::F32).to(device);
    const Tensor expected = wide(F::conv2d(x, weight, {}, params));
    expect_close(F::conv2d(x, kernels::to_format(weight, kLast), {}, params).to(Device::cpu()), expected);
  }
}

TEST(WeightFormat, FoldingKeepsIt) {
  ConvBnAct block({.conv = same_conv(3, 4, 3)});
  stir(block);
  block.eval();
  const Tensor x = random_tensor({1, 3, 4, 4}, 0, DType::F32);
  const Tensor expected = wide(block(x).detach());
  block.to(kLast);
  block.fold();
  EXPECT_TRUE(block.parameters()[0].second.is_channels_last());
  expect_close(block(x).detach(), expected);
}

TEST(WeightFormat, OptimiserStatesMustLieLikeTheParameter) {
  const Tensor parameter = random_tensor({2, 3, 2, 2}, 0, DType::F32);
  const Tensor gradient = kernels::to_format(parameter, kLast);
  const Tensor lr = Tensor::zeros({1});
  const kernels::UpdateTensors tensors[] = {{.parameter = parameter.raw(), .gradient = gradient.raw()}};
  expect_error<ShapeError>([&] { kernels::sgd_update(Device::cpu(), tensors, lr, {}); },
                           "gradient of parameter 0", "memory format");
}

}  // namespace
}  // namespace dlcuda::testing

#include "dlcuda/models/lenet5/lenet5.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "dlcuda/kernels/random.h"

namespace dlcuda {
namespace {

TEST(LeNet5, HasTheParametersOfThePaperUnderTheUsualNames) {
  const LeNet5 model;
  EXPECT_EQ(model.parameter_count(), 61706);
  const std::vector<std::pair<std::string, Shape>> expected = {
      {"conv1.weight", {6, 1, 5, 5}},  {"conv1.bias", {6}},
      {"conv2.weight", {16, 6, 5, 5}}, {"conv2.bias", {16}},
      {"fc1.weight", {120, 400}},      {"fc1.bias", {120}},
      {"fc2.weight", {84, 120}},       {"fc2.bias", {84}},
      {"fc3.weight", {10, 84}},        {"fc3.bias", {10}}};
  const NamedTensors state = model.state_dict();
  ASSERT_EQ(state.size(), expected.size());
  for (std::size_t i = 0; i < state.size(); ++i) {
    EXPECT_EQ(state[i].first, expected[i].first);
    EXPECT_EQ(state[i].second.shape(), expected[i].second) << state[i].first;
  }
}

TEST(LeNet5, OtherChannelsAndClasses) {
  LeNet5 model({.in_channels = 3, .classes = 7});
  EXPECT_EQ(model(Tensor::zeros({2, 3, 32, 32})).shape(), (Shape{2, 7}));
}

TEST(LeNet5, BothMemoryFormatsGiveTheSameLogits) {
  kernels::manual_seed(3);
  LeNet5 model;
  std::vector<float> pixels(5 * 32 * 32);
  for (std::size_t i = 0; i < pixels.size(); ++i) pixels[i] = float(i * 37 % 101) / 101.0f;
  const Tensor x = Tensor::from_values(pixels, {5, 1, 32, 32});
  const auto contiguous = model(x).values<float>();
  const auto channels_last = model(x.with_format(MemoryFormat::ChannelsLast)).values<float>();
  ASSERT_EQ(contiguous.size(), 50u);
  for (std::size_t i = 0; i < contiguous.size(); ++i) EXPECT_NEAR(contiguous[i], channels_last[i], 1e-5);
  EXPECT_GT(*std::max_element(contiguous.begin(), contiguous.end()), 1e-3f);
}

TEST(LeNet5, TheSameSeedDrawsTheSameWeights) {
  const auto weights = [](std::uint64_t seed) {
    kernels::manual_seed(seed);
    return LeNet5().state_dict()[0].second.values<float>();
  };
  EXPECT_EQ(weights(1), weights(1));
  EXPECT_NE(weights(1), weights(2));
}

}  // namespace
}  // namespace dlcuda

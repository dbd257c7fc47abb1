#include "dlcuda/layers/layers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "dlcuda/core/error.h"
#include "dlcuda/core/memory/tag.h"
#include "dlcuda/tests/support/random_tensor.h"

namespace dlcuda {
namespace {

using functional::Conv2dParams;
using functional::Pool2dParams;
using testing::HasSubstr;

template <typename Layer, typename... Arguments>
std::string refusal(Arguments&&... arguments) {
  try {
    Layer layer(std::forward<Arguments>(arguments)...);
  } catch (const ArgumentError& error) {
    return error.what();
  }
  return "(accepted)";
}

TEST(Layers, Describe) {
  EXPECT_EQ(Conv2d(1, 6, 5).describe(), "Conv2d(1, 6, kernel 5x5)");
  EXPECT_EQ(
      Conv2d(Conv2dOptions{4, 8, {3, 2}, {.stride = {2, 1}, .padding = {1, 0, 1, 0}, .groups = 2}, false})
          .describe(),
      "Conv2d(4, 8, kernel 3x2, stride 2x1, padding 1x0, groups 2, no bias)");
  EXPECT_EQ(Conv2d(Conv2dOptions{1, 1, {3, 3}, {.padding = {0, 0, 1, 1}, .dilation = {2, 2}}}).describe(),
            "Conv2d(1, 1, kernel 3x3, padding 0,0,1,1, dilation 2x2)");
  EXPECT_EQ(Linear(120, 84).describe(), "Linear(120, 84)");
  EXPECT_EQ(Linear(LinearOptions{2, 3, false}).describe(), "Linear(2, 3, no bias)");
  EXPECT_EQ(AvgPool2d().describe(), "AvgPool2d(kernel 2x2, stride 2x2)");
  EXPECT_EQ(MaxPool2d({.kernel = {3, 3}, .padding = {1, 1}}).describe(),
            "MaxPool2d(kernel 3x3, stride 2x2, padding 1x1)");
  EXPECT_EQ(Tanh().describe(), "Tanh()");
  EXPECT_EQ(LeakyRelu(0.5f).describe(), "LeakyRelu(0.5)");
  EXPECT_EQ(Dropout(0.25).describe(), "Dropout(0.25)");
}

TEST(Layers, ConstructorsRefuseWhatCannotWork) {
  EXPECT_THAT(refusal<Conv2d>(0, 6, 5), HasSubstr("in_channels must be at least 1, got 0"));
  EXPECT_THAT(refusal<Conv2d>(1, -6, 5), HasSubstr("out_channels must be at least 1, got -6"));
  EXPECT_THAT(refusal<Conv2d>(1, 6, 0), HasSubstr("kernel must be at least 1, got 0 x 0"));
  EXPECT_THAT(refusal<Conv2d>(Conv2dOptions{3, 6, {3, 3}, {.groups = 2}}),
              HasSubstr("groups must divide the channels; got 3 in, 6 out and 2 groups"));
  EXPECT_THAT(refusal<Conv2d>(Conv2dOptions{4, 6, {3, 3}, {.groups = 4}}), HasSubstr("groups must divide"));
  EXPECT_THAT(refusal<Conv2d>(Conv2dOptions{4, 4, {3, 3}, {.groups = 0}}),
              HasSubstr("groups must be at least 1"));
  EXPECT_THAT(refusal<Conv2d>(Conv2dOptions{1, 1, {3, 3}, {.stride = {1, 0}}}), HasSubstr("stride"));
  EXPECT_THAT(refusal<Conv2d>(Conv2dOptions{1, 1, {3, 3}, {.dilation = {0, 1}}}), HasSubstr("dilation"));
  EXPECT_THAT(refusal<Conv2d>(Conv2dOptions{1, 1, {3, 3}, {.padding = {0, -1, 0, 0}}}),
              HasSubstr("padding (top, left, bottom, right) must not be negative"));
  EXPECT_THAT(refusal<Linear>(0, 1), HasSubstr("in_features"));
  EXPECT_THAT(refusal<Linear>(1, 0), HasSubstr("out_features"));
  EXPECT_THAT(refusal<AvgPool2d>(Pool2dParams{.kernel = {0, 2}}), HasSubstr("AvgPool2d: kernel"));
  EXPECT_THAT(refusal<MaxPool2d>(Pool2dParams{.stride = {1, 0}}), HasSubstr("MaxPool2d: stride"));
  EXPECT_THAT(refusal<MaxPool2d>(Pool2dParams{.kernel = {3, 3}, .padding = {2, 0}}),
              HasSubstr("half the kernel"));
  EXPECT_THAT(refusal<LeakyRelu>(-1.0f), HasSubstr("slope"));
  EXPECT_THAT(refusal<Dropout>(1.5), HasSubstr("between 0 and 1, got 1.5"));
  EXPECT_THAT(refusal<Dropout>(-0.1), HasSubstr("between 0 and 1"));
  EXPECT_THROW(Sequential().append(nullptr), ArgumentError);
}

TEST(Layers, ForwardShapes) {
  Sequential net;
  net.add<Conv2d>(Conv2dOptions{1, 4, {3, 3}, {.stride = {2, 2}, .padding = {1, 1, 1, 1}}, false})
      .add<Relu>()
      .add<MaxPool2d>()
      .add<AvgPool2d>(Pool2dParams{.kernel = {1, 2}, .stride = {1, 2}})
      .add<Sigmoid>()
      .add<Dropout>(0.5)
      .add<Flatten>()
      .add<Linear>(4 * 4 * 2, 10);
  EXPECT_EQ(net(Tensor::zeros({3, 1, 16, 16})).shape(), (Shape{3, 10}));
  EXPECT_EQ(net.describe(), "Sequential(8 layers)");
  EXPECT_EQ(net.parameter_count(), 4 * 9 + 32 * 10 + 10);
}

TEST(Layers, LayersWithoutBiasHaveNone) {
  EXPECT_EQ(Linear(LinearOptions{2, 3, false}).parameters().size(), 1u);
  EXPECT_EQ(Conv2d(Conv2dOptions{2, 3, {1, 1}, {}, false}).parameters().size(), 1u);
}

TEST(Layers, SchemesReachTheWeights) {
  kernels::manual_seed(3);
  const Linear linear(LinearOptions{50, 20, true, init::Scheme::LeCunNormal});
  kernels::manual_seed(3);
  const auto expected = init::weight({20, 50}, init::Scheme::LeCunNormal).values<float>();
  EXPECT_EQ(linear.parameters()[0].second.values<float>(), expected);
  EXPECT_EQ(linear.parameters()[1].second.values<float>(), std::vector<float>(20, 0.0f));
}

TEST(Layers, DropoutFollowsTheMode) {
  Dropout dropout(0.5);
  const Tensor x = random_tensor({100}, 0, DType::F32, 1, 2);
  kernels::manual_seed(1);
  const auto first = dropout(x).values<float>();
  EXPECT_NE(first, x.values<float>());
  kernels::manual_seed(1);
  EXPECT_EQ(dropout(x).values<float>(), first);
  dropout.eval();
  EXPECT_EQ(dropout(x).values<float>(), x.values<float>());
}

/// Reports under which tag its memory would be booked.
class Probe : public Module {
 public:
  explicit Probe(std::string* seen) : seen_(seen) {}
  Tensor forward(const Tensor& x) override {
    *seen_ = current_memory_tag().name();
    return x;
  }
  std::string describe() const override { return "Probe()"; }

 private:
  std::string* seen_;
};

TEST(Layers, StochasticDepthDropsWholeSamplesInTraining) {
  kernels::manual_seed(5);
  StochasticDepth layer(0.25);
  EXPECT_EQ(layer.describe(), "StochasticDepth(0.25)");
  const Tensor x = random_tensor({400, 3, 2, 2}, 1, DType::F32, 1, 2);
  EXPECT_TRUE(layer.active());
  const auto from = x.values<float>(), to = layer(x).values<float>();
  int dropped = 0;
  for (std::size_t sample = 0; sample < 400; ++sample) {
    const bool gone = to[sample * 12] == 0;
    dropped += gone;
    for (std::size_t i = sample * 12; i < sample * 12 + 12; ++i) {
      EXPECT_FLOAT_EQ(to[i], gone ? 0 : from[i] / 0.75f);
    }
  }
  EXPECT_NEAR(dropped, 100, 30);  // about three and a half deviations
  layer.eval();
  EXPECT_FALSE(layer.active());
  EXPECT_EQ(layer(x).values<float>(), from);
  EXPECT_FALSE(StochasticDepth(0).active());
  EXPECT_THAT(refusal<StochasticDepth>(1.5), HasSubstr("StochasticDepth: p must be a probability"));
}

TEST(Layers, InlineBlocksTakeTheirPlacesInASequence) {
  struct Pair : Module {
    Linear linear{2, 2};
    explicit Pair(const std::string& name) { register_module(name, &linear); }
    Tensor forward(const Tensor& x) override { return functional::relu(linear(x)); }
    std::string describe() const override { return "Pair"; }
  };
  Sequential net;
  net.add<Linear>(2, 2);
  net.append_inline(std::make_unique<Pair>(std::to_string(net.place())), 2);
  net.append_inline(std::make_unique<Relu>(), 0);
  net.add<Linear>(2, 1);
  std::vector<std::string> names;
  for (const auto& [name, tensor] : net.parameters()) names.push_back(name);
  EXPECT_THAT(names, testing::ElementsAre("0.weight", "0.bias", "1.weight", "1.bias", "3.weight", "3.bias"));
  EXPECT_EQ(net(Tensor::zeros({5, 2})).shape(), (Shape{5, 1}));
  EXPECT_THROW(net.append_inline(std::make_unique<Pair>("0"), 1), ArgumentError);  // taken
  EXPECT_THROW(net.append_inline(nullptr, 1), ArgumentError);
}

TEST(Layers, AllocationsAreTaggedWithThePathOfTheLayer) {
  std::string inner, outer;
  Sequential net;
  auto block = std::make_unique<Sequential>();
  block->add<Tanh>().add<Probe>(&inner);
  net.append(std::move(block));
  net.add<Probe>(&outer);
  net(Tensor::zeros({1}));
  EXPECT_EQ(inner, "0.1");
  EXPECT_EQ(outer, "1");
}

}  // namespace
}  // namespace dlcuda

#include "dlcuda/train/model_table.h"

#include <gtest/gtest.h>

#include "dlcuda/core/error.h"
#include "dlcuda/core/memory/caching_allocator.h"
#include "dlcuda/layers/blocks.h"
#include "dlcuda/models/lenet5/lenet5.h"
#include "dlcuda/models/zoo.h"

namespace dlcuda {
namespace {

TEST(ModelTable, ListsTheLayersOfLeNet5AsTheyAreCalled) {
  LeNet5 model;
  const std::vector<LayerSummary> rows = summarize_layers(model, {1, 32, 32});
  const std::vector<LayerSummary> expected = {{"conv1", "", "[1, 6, 28, 28]", 156},
                                              {"pool", "", "[1, 6, 14, 14]", 0},
                                              {"conv2", "", "[1, 16, 10, 10]", 2416},
                                              {"pool", "", "[1, 16, 5, 5]", 0},
                                              {"fc1", "", "[1, 120]", 48120},
                                              {"fc2", "", "[1, 84]", 10164},
                                              {"fc3", "", "[1, 10]", 850}};
  ASSERT_EQ(rows.size(), expected.size());
  std::int64_t parameters = 0;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    EXPECT_EQ(rows[i].name, expected[i].name);
    EXPECT_EQ(rows[i].output, expected[i].output);
    EXPECT_EQ(rows[i].parameters, expected[i].parameters);
    EXPECT_FALSE(rows[i].layer.empty());
    parameters += rows[i].parameters;
  }
  EXPECT_EQ(parameters, model.parameter_count());
  EXPECT_TRUE(model.is_training());
}

TEST(ModelTable, NestedNames) {
  Sequential model, *inner = new Sequential;
  inner->add<Linear>(LinearOptions{.in_features = 4, .out_features = 3}).add<Tanh>();
  model.add<Flatten>().append(std::unique_ptr<Module>(inner));
  const std::vector<LayerSummary> rows = summarize_layers(model, {1, 2, 2});
  ASSERT_EQ(rows.size(), 3u);
  EXPECT_EQ(rows[0].name, "0");
  EXPECT_EQ(rows[1].name, "1.0");
  EXPECT_EQ(rows[1].parameters, 15);
  EXPECT_EQ(rows[2].name, "1.1");
}

TEST(ModelTable, MultiplyAddsAreThoseOfTheOperationsThatAreCalled) {
  const auto make = [] {
    auto model = std::make_unique<Sequential>();
    model->add<Conv2d>(Conv2dOptions{.in_channels = 4,
                                     .out_channels = 6,
                                     .kernel = {3, 5},
                                     .params = {.stride = {2, 1}, .padding = {1, 2, 1, 2}, .groups = 2}});
    model->add<ConvTranspose2d>(ConvTranspose2dOptions{
        .in_channels = 6, .out_channels = 2, .kernel = {2, 2}, .params = {.stride = {2, 2}}});
    model->add<Flatten>().add<Linear>(2 * 8 * 14, 5);
    return model;
  };
  const ModelSummary summary = summarize_model(make, {3, 4, 8, 7});
  ASSERT_EQ(summary.layers.size(), 4u);
  EXPECT_EQ(summary.layers[0].multiply_adds, 3 * 6 * 4 * 7 * (4 / 2) * 3 * 5);
  EXPECT_EQ(summary.layers[1].multiply_adds, 3 * 6 * 4 * 7 * 2 * 2 * 2);
  EXPECT_EQ(summary.layers[2].multiply_adds, 0);
  EXPECT_EQ(summary.layers[3].multiply_adds, 3 * 5 * 2 * 8 * 14);
  EXPECT_EQ(summary.layers[1].activation_bytes, 4u * 3 * 2 * 8 * 14);
  EXPECT_EQ(summary.output, (Shape{3, 5}));
  EXPECT_EQ(summary.parameter_bytes, 4u * std::size_t(summary.parameters));
}

/// A module that computes beside its children.
class Twice : public Module {
 public:
  Twice() { register_module("layer", &layer_); }
  Tensor forward(const Tensor& x) override { return functional::matmul(layer_(x), layer_(x)); }
  std::string describe() const override { return "Twice()"; }

 private:
  Linear layer_{4, 4};
};

TEST(ModelTable, WhatAModuleComputesItselfHasARowOfItsOwn) {
  const ModelSummary summary = summarize_model([] { return std::make_unique<Twice>(); }, {4, 4});
  ASSERT_EQ(summary.layers.size(), 3u);
  EXPECT_EQ(summary.layers[0].parameters, 20);
  EXPECT_EQ(summary.layers[1].parameters, 0) << "counted once";
  EXPECT_EQ(summary.layers[2].name, "(model)");
  EXPECT_EQ(summary.layers[2].multiply_adds, 64);
  EXPECT_EQ(summary.multiply_adds, 3 * 64);
}

TEST(ModelTable, PublishedMultiplyAddsOfTheZoo) {
  for (const ZooModel& model : zoo()) {
    if (model.multiply_adds == 0) continue;
    const ModelSummary summary =
        summarize_model([&] { return model.make(model.classes, model.input.channels); },
                        {1, model.input.channels, model.input.height, model.input.width});
    EXPECT_NEAR(double(summary.multiply_adds), model.multiply_adds, 0.03 * model.multiply_adds) << model.name;
    EXPECT_EQ(summary.parameters, model.parameters) << model.name;
  }
}

TEST(ModelTable, AFoldedModelMultipliesAsMuch) {
  const auto make = [](bool fold) {
    return [fold] {
      auto model = make_model("resnet18");
      if (fold) fold_batch_norm(*model);
      return model;
    };
  };
  const ModelSummary plain = summarize_model(make(false), {1, 3, 64, 64});
  const ModelSummary folded = summarize_model(make(true), {1, 3, 64, 64});
  EXPECT_EQ(folded.multiply_adds, plain.multiply_adds);
  EXPECT_LT(folded.layers.size(), plain.layers.size());
}

TEST(ModelTable, TakesNoMemoryAndRunsNothing) {
  const MemoryStats before = allocator_for(Device::cpu()).stats();
  const ModelSummary summary =
      summarize_model([] { return std::make_unique<Linear>(1'000'000, 1'000'000); }, {1000, 1'000'000});
  EXPECT_GT(summary.parameter_bytes, std::size_t(1) << 40);
  EXPECT_EQ(allocator_for(Device::cpu()).stats().total.blocks.allocated, before.total.blocks.allocated);
}

TEST(ForwardObserver, OneAtATime) {
  const ForwardObserver observer([](const Module&, const Tensor&) {});
  EXPECT_THROW(ForwardObserver([](const Module&, const Tensor&) {}), Error);
}

}  // namespace
}  // namespace dlcuda

#include "dlcuda/train/model_table.h"

#include <gtest/gtest.h>

#include "dlcuda/core/error.h"
#include "dlcuda/models/lenet5/lenet5.h"

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

TEST(ForwardObserver, OneAtATime) {
  const ForwardObserver observer([](const Module&, const Tensor&) {});
  EXPECT_THROW(ForwardObserver([](const Module&, const Tensor&) {}), Error);
}

}  // namespace
}  // namespace dlcuda

#include "dlcuda/models/model_sizes.h"

#include <gtest/gtest.h>

namespace dlcuda {
namespace {

std::map<std::string, Shape> shapes(const Module& module) {
  std::map<std::string, Shape> result;
  for (const auto& [name, tensor] : module.state_dict()) result.emplace(name, tensor.shape());
  return result;
}

TEST(ModelSizes, AreThoseThatTheWeightsWereMadeFor) {
  for (const char* name : {"lenet5", "resnet18"}) {
    SCOPED_TRACE(name);
    const ZooModel& model = find_model(name);
    for (const ModelSizes& sizes : {ModelSizes{7, 1}, {12, 4}}) {
      EXPECT_EQ(find_sizes(model, shapes(*model.make(sizes.classes, sizes.channels))), sizes);
    }
  }
}

TEST(ModelSizes, ThePublishedOnesWhereShapesDoNotSay) {
  const ZooModel& model = find_model("lenet5");
  const ModelSizes usual{model.classes, model.input.channels};
  EXPECT_EQ(find_sizes(model, {}), usual);
  EXPECT_EQ(find_sizes(model, {{"fc3.weight", {3}}, {"something", {2, 3}}}), usual);
  EXPECT_EQ(find_sizes(model, {{"fc3.weight", {4, 84}}, {"fc3.bias", {5}}}), usual) << "a contradiction";
  EXPECT_EQ(find_sizes(model, {{"fc3.weight", {0, 84}}}), usual);
}

}  // namespace
}  // namespace dlcuda

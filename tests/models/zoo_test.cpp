#include "dlcuda/models/zoo.h"

#include <gtest/gtest.h>

#include <set>

#include "dlcuda/core/error.h"
#include "dlcuda/layers/init.h"

namespace dlcuda {
namespace {

TEST(Zoo, NamesAreUniqueAndFound) {
  std::set<std::string> names;
  for (const ZooModel& model : zoo()) {
    EXPECT_TRUE(names.insert(model.name).second) << model.name;
    EXPECT_EQ(&find_model(model.name), &model);
    EXPECT_FALSE(model.paper.empty()) << model.name;
  }
  EXPECT_THROW(find_model("resnet19"), ArgumentError);
}

TEST(Zoo, ParameterCounts) {
  for (const ZooModel& model : zoo()) {
    const init::Uninitialized no_values;
    EXPECT_EQ(model.make(model.classes, model.input.channels)->parameter_count(), model.parameters)
        << model.name;
  }
}

}  // namespace
}  // namespace dlcuda

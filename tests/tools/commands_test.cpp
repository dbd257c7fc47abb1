// The commands that need no weights, and how wrong command lines are refused.
#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "dlcuda/models/zoo.h"
#include "dlcuda/tests/tools/tool.h"

namespace dlcuda::testing {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

TEST(Tool, HelpAndVersion) {
  EXPECT_THAT(output_of({"--help"}), HasSubstr("predict"));
  EXPECT_THAT(output_of({"summary", "--help"}), HasSubstr("--batch-size"));
  EXPECT_EQ(output_of({"--version"}), "dlcuda " DLCUDA_VERSION "\n");
}

TEST(Tool, RefusesWhatItDoesNotKnow) {
  expect_refusal(2, {}, {"name a command", "summary"});
  expect_refusal(2, {"sumary"}, {"'sumary'", "did you mean 'summary'"});
  expect_refusal(2, {"convert"}, {"name a command", "list"});
  expect_refusal(2, {"convert", "lsit", "a"}, {"did you mean 'list'"});
  expect_refusal(2, {"info", "--jsno"}, {"did you mean '--json'"});
  expect_refusal(2, {"info", "more"}, {"unexpected argument 'more'"});
  expect_refusal(2, {"summary"}, {"MODEL"});
  expect_refusal(2, {"summary", "resnt18"}, {"'resnt18'", "did you mean 'resnet18'"});
  expect_refusal(2, {"summary", "lenet5", "--input", "32x32"}, {"--input", "CxHxW"});
  expect_refusal(2, {"summary", "lenet5", "--input", "1x32xfar"}, {"--input", "'far'"});
  expect_refusal(2, {"summary", "lenet5", "--batch-size", "0"}, {"--batch-size"});
  expect_refusal(2, {"memory", "lenet5", "--precision", "fp23"}, {"--precision", "did you mean 'fp32'"});
  expect_refusal(2, {"memory", "lenet5", "--optimizer", "adm"}, {"--optimizer", "did you mean 'adam'"});
  expect_refusal(2, {"memory", "lenet5", "--limit", "-1"}, {"--limit", "GiB"});
  expect_refusal(2, {"memory", "lenet5", "--device", "gpu"}, {"expected auto, cpu, cuda"});
}

TEST(Tool, InfoNamesWhatIsHereAndWhatIsNot) {
  EXPECT_THAT(output_of({"info"}), HasSubstr("oneDNN"));
  const json info = json::parse(output_of({"info", "--json"}));
  EXPECT_EQ(info["version"], DLCUDA_VERSION);
  EXPECT_GE(info["cpu"]["threads"], 1);
  EXPECT_EQ(info["cuda"]["devices"].empty(), !info["cuda"]["reason"].get<std::string>().empty());
  EXPECT_EQ(info["libraries"][0]["name"], "oneDNN");
  EXPECT_EQ(info["models"].size(), zoo().size());
  for (const json& library : info["libraries"]) {
    EXPECT_EQ(library["found"].get<bool>(), library["reason"].get<std::string>().empty()) << library;
  }
}

TEST(Tool, SummaryOfAModel) {
  const std::string text = output_of({"summary", "lenet5", "--batch-size", "3"});
  EXPECT_THAT(text, HasSubstr("conv2  Conv2d(6, 16, kernel 5x5)"));
  EXPECT_THAT(text, HasSubstr("[3, 1, 32, 32] -> [3, 10]"));
  EXPECT_THAT(text, HasSubstr("multiply-adds: 1,249,560"));
  const json summary =
      json::parse(output_of({"summary", "resnet18", "--json", "--input", "1x64x96", "--classes", "7"}));
  EXPECT_EQ(summary["input"], (std::vector<int>{1, 1, 64, 96}));
  EXPECT_EQ(summary["output"], (std::vector<int>{1, 7}));
  EXPECT_EQ(summary["layers"][0]["name"], "conv1");
  EXPECT_EQ(summary["layers"][0]["multiply_adds"], 64 * 32 * 48 * 49);
}

TEST(Tool, MemoryOfATraining) {
  const std::string text = output_of({"memory", "lenet5", "--batch-size", "64", "--device", "cpu"});
  EXPECT_THAT(text, HasSubstr("fc1"));
  EXPECT_THAT(text, HasSubstr("largest batch within"));
  const auto plan = [](const std::vector<std::string>& more) {
    // A GPU that is not here can be planned for.
    std::vector<std::string> arguments{"memory", "lenet5", "--json", "--device", "cuda:7"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return json::parse(output_of(arguments));
  };
  const json adam = plan({"--batch-size", "64", "--limit", "0.01"});
  EXPECT_EQ(adam["batch_size"], 64);
  EXPECT_EQ(adam["limit_bytes"], 10737418);
  const std::int64_t largest = adam["largest_batch"];
  EXPECT_LE(plan({"--limit", "1", "--batch-size", std::to_string(largest)})["peak_bytes"], 10737418);
  EXPECT_GT(plan({"--limit", "1", "--batch-size", std::to_string(2 * largest)})["peak_bytes"], 10737418);
  const json sgd = plan({"--batch-size", "64", "--optimizer", "sgd", "--limit", "1"});
  EXPECT_EQ(sgd["parameter_bytes"], adam["parameter_bytes"]);
  EXPECT_LT(sgd["optimizer_bytes"], adam["optimizer_bytes"]);
}

TEST(Tool, MemoryOfDetectionAndSegmentation) {
  for (const std::string model : {"yolov2_small", "unet_small"}) {
    SCOPED_TRACE(model);
    const auto plan = [&](const std::string& batch) {
      return json::parse(output_of(
          {"memory", model, "--json", "--limit", "0.05", "--device", "cuda:7", "--batch-size", batch}));
    };
    const std::int64_t largest = plan("1")["largest_batch"];
    ASSERT_GT(largest, 1);
    const std::int64_t limit = plan("1")["limit_bytes"];
    EXPECT_LE(plan(std::to_string(largest))["peak_bytes"], limit);
    EXPECT_GT(plan(std::to_string(2 * largest))["peak_bytes"], limit);
  }
}

}  // namespace
}  // namespace dlcuda::testing

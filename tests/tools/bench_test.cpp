// dlcuda bench: what it says, not how fast anything is.
#include <gmock/gmock.h>

#include <nlohmann/json.hpp>
#include <sstream>

#include "dlcuda/models/zoo.h"
#include "dlcuda/tests/tools/tool.h"

namespace dlcuda::testing {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

std::vector<std::string> bench(const std::vector<std::string>& more) {
  std::vector<std::string> arguments{"bench"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  for (const char* word : {"--device", "cpu", "--batch-size", "2", "--seconds", "0.001", "--rounds", "2"}) {
    arguments.emplace_back(word);
  }
  return arguments;
}

json report_of(std::vector<std::string> more) {
  more.insert(more.end(), {"--json", "--no-peaks"});
  return json::parse(output_of(bench(more)));
}

TEST(ToolBench, TrainsAndInfersModelsOfEveryKind) {
  for (const std::string model : {"lenet5", "yolov2_small", "unet_small"}) {
    SCOPED_TRACE(model);
    const json train = report_of({model}), infer = report_of({model, "--infer"});
    EXPECT_EQ(train["mode"], "train");
    EXPECT_EQ(infer["mode"], "infer");
    for (const json& report : {train, infer}) {
      EXPECT_EQ(report["model"], model);
      EXPECT_EQ(report["device"], "cpu");
      EXPECT_EQ(report["batch_size"], 2);
      EXPECT_EQ(report["rounds"], 2);
      EXPECT_EQ(report["parameters"], find_model(model).parameters);
      EXPECT_TRUE(report["recorded"]) << report["not_recorded"];
      EXPECT_GT(report["launches"], 0);
      EXPECT_GT(report["ms_per_step"]["median"], 0);
      EXPECT_GT(report["images_per_second"], 0);
      EXPECT_GT(report["peak_memory_bytes"], 0);
      EXPECT_FALSE(report["machine"]["commit"].get<std::string>().empty());
      EXPECT_FALSE(report.contains("share_of_peak"));
    }
    EXPECT_EQ(train["flops_per_step"], 3 * infer["flops_per_step"].get<double>());
    EXPECT_GT(train["bytes_per_step"], infer["bytes_per_step"]);
  }
}

// By hand: multiply-adds are those of the summary; A = 6 * 28^2 + 16 * 10^2 + 120 + 84 + 10 = 6,518 outputs,
// I = 1,024 pixels, P = 61,706 parameters.
TEST(ToolBench, CountsWorkAsDocumented) {
  constexpr double kOutputs = 2 * 6'518, kPixels = 2 * 1'024, kParameters = 61'706;
  const json train = report_of({"lenet5"}), infer = report_of({"lenet5", "--infer"});
  EXPECT_EQ(infer["flops_per_step"], 2 * 2 * 416'520.0);
  EXPECT_EQ(infer["bytes_per_step"], 4 * (kPixels + 2 * kOutputs + kParameters));
  EXPECT_EQ(train["bytes_per_step"], 4 * (2 * kPixels + 5 * kOutputs + 10 * kParameters));
  for (const char* precision : {"bf16", "fp16"}) {
    const json low = report_of({"lenet5", "--precision", precision});
    EXPECT_EQ(low["precision"], precision);
    EXPECT_EQ(low["bytes_per_step"], 2 * (2 * kPixels + 5 * kOutputs + 5 * kParameters) + 24 * kParameters);
  }
}

TEST(ToolBench, TakesShapesFormatsPrecisionsAndThreads) {
  const json report = report_of({"resnet20", "--infer", "--input", "1x24x16", "--classes", "3", "--format",
                                 "contiguous", "--precision", "bf16", "--threads", "1"});
  EXPECT_EQ(report["input"], (std::vector<int>{1, 24, 16}));
  EXPECT_EQ(report["classes"], 3);
  EXPECT_EQ(report["format"], "contiguous");
  EXPECT_EQ(report["precision"], "bf16");
  EXPECT_EQ(report["threads"], 1);
  EXPECT_EQ(report_of({"resnet20", "--infer", "--input", "3x8x8"})["format"], "channels-last");
  EXPECT_EQ(report_of({"lenet5"})["format"], "contiguous");
}

TEST(ToolBench, SeveralStepsInOneRecording) {
  const json one = report_of({"lenet5"}), three = report_of({"lenet5", "--steps-per-launch", "3"});
  EXPECT_EQ(one["steps_per_launch"], 1);
  EXPECT_EQ(three["steps_per_launch"], 3);
  EXPECT_EQ(three["launches"], 3 * one["launches"].get<int>());
  EXPECT_EQ(three["steps_per_round"].get<int>() % 3, 0);
  EXPECT_GT(report_of({"lenet5", "--infer", "--steps-per-launch", "2"})["launches"], 0);
}

TEST(ToolBench, EagerStepsAndBothInTurn) {
  const json eager = report_of({"lenet5", "--eager"});
  EXPECT_FALSE(eager["recorded"]);
  EXPECT_EQ(eager["not_recorded"], "--eager");
  const json both = report_of({"lenet5", "--compare-eager"});
  EXPECT_TRUE(both["recorded"]);
  EXPECT_GT(both["eager_ms_per_step"]["median"], 0);
  EXPECT_GT(both["recorded_to_eager"]["median"], 0);
}

TEST(ToolBench, TableWithPeaksAndAProfile) {
  const TempFolder folder;
  const std::string trace = (folder / "trace.json").string();
  const std::string text = output_of(bench({"lenet5", "--profile", trace}));
  for (const char* words :
       {"lenet5: training in fp32, batches of 2 x 1x32x32, contiguous", "images per second",
        "share of the peak", "roofline", "conv2d", "profile of 5 steps"}) {
    EXPECT_THAT(text, HasSubstr(words));
  }
  EXPECT_FALSE(json::parse(read_text(trace))["traceEvents"].empty());
}

TEST(ToolBench, ServesRounds) {
  const ToolRun run = run_tool(bench({"lenet5", "--infer", "--serve"}), "round\nround\n");
  EXPECT_EQ(run.code, 0) << run.err;
  std::istringstream lines(run.out);
  std::string line;
  ASSERT_TRUE(std::getline(lines, line));
  EXPECT_EQ(json::parse(line)["model"], "lenet5");
  for (int round = 0; round < 2; ++round) {
    ASSERT_TRUE(std::getline(lines, line));
    EXPECT_GT(json::parse(line)["ms_per_step"], 0);
  }
  EXPECT_FALSE(std::getline(lines, line));
  const ToolRun refused = run_tool(bench({"lenet5", "--serve"}), "square\n");
  EXPECT_EQ(refused.code, 2);
  EXPECT_THAT(refused.err, HasSubstr("'square'"));
}

TEST(ToolBench, RefusesWhatItCannotMeasure) {
  expect_refusal(2, {"bench"}, {"MODEL"});
  expect_refusal(2, {"bench", "lanet5"}, {"'lanet5'", "did you mean 'lenet5'"});
  expect_refusal(2, {"bench", "lenet5", "--precision", "bf61"}, {"--precision", "did you mean 'bf16'"});
  expect_refusal(2, {"bench", "lenet5", "--batch-size", "0"}, {"--batch-size", "'0'"});
  expect_refusal(2, {"bench", "lenet5", "--rounds", "none"}, {"--rounds", "'none'"});
  expect_refusal(2, {"bench", "lenet5", "--seconds", "0"}, {"--seconds", "'0'"});
  expect_refusal(2, {"bench", "lenet5", "--seconds", "nan"}, {"--seconds", "'nan'"});
  expect_refusal(2, {"bench", "lenet5", "--threads", "0"}, {"--threads"});
  expect_refusal(2, {"bench", "lenet5", "--format", "contiguos"}, {"--format", "did you mean 'contiguous'"});
  expect_refusal(2, {"bench", "lenet5", "--train", "--infer"}, {"--train", "--infer"});
  expect_refusal(2, {"bench", "lenet5", "--steps-per-launch", "0"}, {"--steps-per-launch", "'0'"});
  expect_refusal(2, {"bench", "lenet5", "--eager", "--steps-per-launch", "2"},
                 {"--steps-per-launch", "--eager"});
  expect_refusal(2, {"bench", "lenet5", "--eager", "--compare-eager"}, {"--eager", "--compare-eager"});
  expect_refusal(2, {"bench", "lenet5", "--input", "3x32x32x1"}, {"--input"});
  expect_refusal(5, {"bench", "lenet5", "--device", "cuda:99"}, {"cuda"});
}

}  // namespace
}  // namespace dlcuda::testing

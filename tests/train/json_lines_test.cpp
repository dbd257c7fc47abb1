#include "dlcuda/train/json_lines.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <sstream>
#include <vector>

#include "dlcuda/tests/support/captured_file.h"
#include "dlcuda/tests/train/reports.h"

namespace dlcuda {
namespace {

TEST(JsonLines, OneObjectALineWithThePromisedKeys) {
  const CapturedFile out;
  JsonLines json(out.get());
  json.on_start(sample_start());
  json.on_progress({});
  json.on_epoch(sample_epoch(1));
  json.on_epoch(sample_epoch(2));
  json.on_final(sample_final());

  std::vector<nlohmann::json> lines;
  std::istringstream stream(out.text());
  for (std::string line; std::getline(stream, line);) lines.push_back(nlohmann::json::parse(line));
  ASSERT_EQ(lines.size(), 4u);

  EXPECT_EQ(lines[0]["event"], "start");
  EXPECT_EQ(lines[0]["device"], "cpu");
  EXPECT_EQ(lines[0]["device_reason"], "no CUDA driver found");
  EXPECT_EQ(lines[0]["seed"], 5);
  EXPECT_EQ(lines[0]["parameters"], 61706);
  EXPECT_EQ(lines[0]["model"], "lenet5");
  EXPECT_EQ(lines[0]["version"], "1.2.3");
  EXPECT_EQ(lines[0]["dataset"], "digits");
  EXPECT_EQ(lines[0]["train_count"], 20);
  EXPECT_EQ(lines[0]["validation_count"], 4);
  EXPECT_EQ(lines[0]["test_count"], 8);
  EXPECT_EQ(lines[0]["threads"], 2);
  EXPECT_EQ(lines[0]["precision"], "fp32");
  for (const char* key : {"batch_size", "epochs", "optimizer", "lr"})
    EXPECT_TRUE(lines[0].contains(key)) << key;

  EXPECT_EQ(lines[2]["event"], "epoch");
  EXPECT_EQ(lines[2]["epoch"], 2);
  EXPECT_EQ(lines[2]["train_loss"], 0.25);
  EXPECT_EQ(lines[2]["val_loss"], 0.25);
  EXPECT_EQ(lines[2]["val_accuracy"], 0.9625);
  EXPECT_EQ(lines[2]["images_per_second"], 12345.6);
  EXPECT_EQ(lines[2]["seconds"], 1.5);

  EXPECT_EQ(lines[3]["event"], "final");
  EXPECT_EQ(lines[3]["test_loss"], 0.125);
  EXPECT_EQ(lines[3]["test_accuracy"], 0.98765);
  EXPECT_EQ(lines[3]["weights"], "runs/lenet5/weights/best.safetensors");
}

TEST(JsonLines, APathThatIsNotUtf8StaysValidJson) {
  const CapturedFile out;
  JsonLines json(out.get());
  StartReport start = sample_start();
  start.run_folder = "runs/\xff\"quote";
  json.on_start(start);
  EXPECT_NE(nlohmann::json::parse(out.text())["run_folder"].get<std::string>().find("\"quote"),
            std::string::npos);
}

}  // namespace
}  // namespace dlcuda

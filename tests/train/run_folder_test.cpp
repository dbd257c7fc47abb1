#include "dlcuda/train/run_folder.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <sstream>

#include "dlcuda/core/error.h"
#include "dlcuda/tests/support/temp_folder.h"
#include "dlcuda/tests/train/reports.h"

namespace dlcuda {
namespace {

namespace fs = std::filesystem;

// runs/ is made in the current directory.
class RunFolderTest : public testing::Test {
 protected:
  RunFolderTest() { fs::current_path(folder_.path()); }
  ~RunFolderTest() override { fs::current_path(before_); }

  std::string read(const fs::path& path) {
    std::ifstream file(path);
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
  }

  const fs::path before_ = fs::current_path();
  TempFolder folder_;
};

TEST_F(RunFolderTest, RunsAreNumberedAndNeverOverwritten) {
  EXPECT_EQ(RunFolder::create("lenet5", ""), "runs/lenet5");
  EXPECT_EQ(RunFolder::create("lenet5", ""), "runs/lenet5-2");
  EXPECT_EQ(RunFolder::create("vgg16", ""), "runs/vgg16");
  EXPECT_EQ(RunFolder::create("lenet5", ""), "runs/lenet5-3");
  fs::remove(folder_ / "runs/lenet5-2");
  EXPECT_EQ(RunFolder::create("lenet5", ""), "runs/lenet5-2");
  std::ofstream(folder_ / "runs/lenet5-4") << "a file in the way";
  EXPECT_EQ(RunFolder::create("lenet5", ""), "runs/lenet5-5");
}

TEST_F(RunFolderTest, AGivenFolderMustBeNewOrEmpty) {
  EXPECT_EQ(RunFolder::create("lenet5", "a/b"), "a/b");
  EXPECT_TRUE(fs::is_directory(folder_ / "a/b"));
  EXPECT_EQ(RunFolder::create("lenet5", "a/b"), "a/b");  // still empty
  std::ofstream(folder_ / "a/b/notes.txt") << "mine";
  expect_error<ArgumentError>([] { RunFolder::create("lenet5", "a/b"); }, "--out", "'a/b'", "not empty");
  expect_error<ArgumentError>([] { RunFolder::create("lenet5", "a/b/notes.txt"); }, "--out", "not a folder");
  expect_error<Error>([] { RunFolder::create("lenet5", "a/b/notes.txt/c"); }, "--out", "a/b/notes.txt/c");
  EXPECT_EQ(read("a/b/notes.txt"), "mine");
}

TEST_F(RunFolderTest, TheFilesOfARun) {
  RunFolder folder(RunFolder::create("lenet5", "run"));
  folder.on_start(sample_start());
  folder.on_epoch(sample_epoch(1));
  EXPECT_EQ(read("run/results.csv"),
            "epoch,train_loss,train_accuracy,val_loss,val_accuracy,lr,images_per_second,seconds\n"
            "1,0.5,0.9,0.25,0.9625,0.001,12345.6,1.500\n");
  folder.on_epoch(sample_epoch(2));
  const std::string csv = read("run/results.csv");
  EXPECT_EQ(std::count(csv.begin(), csv.end(), '\n'), 3);
  const std::string svg = read("run/results.svg");
  EXPECT_THAT(svg, testing::HasSubstr("lenet5 on digits"));
  EXPECT_THAT(svg, testing::HasSubstr("best: epoch 1"));

  FinalReport report = sample_final();
  report.weights = folder.best_weights().string();
  folder.on_final(report);
  const auto summary = nlohmann::json::parse(read("run/summary.json"));
  EXPECT_EQ(summary["test_accuracy"], 0.98765);
  EXPECT_EQ(summary["weights"], "weights/best.safetensors");
  EXPECT_EQ(summary["epochs"], 2);
}

TEST_F(RunFolderTest, OptionsAreWrittenAsToml) {
  TrainOptions options;
  options.data_dir = "a \"quoted\"\\path\n";
  options.lr = 1;
  options.seed = 7;
  options.json = true;
  const std::string text = to_toml("lenet5", options);
  for (const char* line :
       {"model = \"lenet5\"\n", "data = \"digits\"\n", "data-dir = \"a \\\"quoted\\\"\\\\path\\u000a\"\n",
        "lr = 1.0\n", "seed = 7\n", "require-gpu = false\n", "precision = \"fp32\"\n", "json = true\n",
        "out = \"\"\n"}) {
    EXPECT_THAT(text, testing::HasSubstr(line));
  }
  options.lr = 1e-5;
  EXPECT_THAT(to_toml("lenet5", options), testing::HasSubstr("lr = 1e-05\n"));
}

TEST_F(RunFolderTest, AFolderThatGoesAwayIsAnErrorThatNamesTheFile) {
  RunFolder folder(RunFolder::create("lenet5", "run"));
  fs::remove_all("run");
  expect_error<Error>([&] { folder.on_start(sample_start()); }, "run/results.csv", "No such file");
}

}  // namespace
}  // namespace dlcuda

#include "dlcuda/train/main.h"

#include <algorithm>
#include <fstream>
#include <iterator>
#include <new>
#include <nlohmann/json.hpp>
#include <tuple>

#include "dlcuda/core/error.h"
#include "dlcuda/core/memory/caching_allocator.h"
#include "dlcuda/core/safetensors.h"
#include "dlcuda/kernels/precision.h"
#include "dlcuda/layers/layers.h"
#include "dlcuda/tests/support/temp_folder.h"
#include "dlcuda/train/segmentation_picture.h"

namespace dlcuda {
namespace {

TEST(ExitCode, FollowsFromTheKindOfError) {
  EXPECT_EQ(exit_code(std::runtime_error("x")), 1);
  EXPECT_EQ(exit_code(Error("x")), 1);
  EXPECT_EQ(exit_code(ShapeError("x")), 1);
  EXPECT_EQ(exit_code(ArgumentError("x")), 2);
  EXPECT_EQ(exit_code(FormatError("x")), 3);
  EXPECT_EQ(exit_code(IoError("x")), 3);
  EXPECT_EQ(exit_code(OutOfMemoryError("x", 8)), 4);
  EXPECT_EQ(exit_code(std::bad_alloc()), 4);
  EXPECT_EQ(exit_code(DeviceError("x")), 5);
  EXPECT_EQ(exit_code(NumericError("x")), 6);
}

// Runs train_main on a linear model.
class TrainMain : public testing::Test {
 protected:
  TrainMain() {
    spec_.name = "linear";
    spec_.description = "A linear model";
    spec_.defaults.epochs = 1;
    spec_.defaults.limit = 64;
    spec_.make_model = [](const ImageShape& input, std::int64_t classes) -> std::unique_ptr<Module> {
      auto model = std::make_unique<Sequential>();
      model->add<Flatten>().add<Linear>(
          LinearOptions{.in_features = std::int64_t(input.pixels()), .out_features = classes});
      return model;
    };
  }
  int run(std::vector<std::string> flags) {
    flags.insert(flags.begin(), {"train_linear", "--device", "cpu", "--out", out_});
    std::vector<const char*> argv;
    for (const std::string& flag : flags) argv.push_back(flag.c_str());
    testing::internal::CaptureStdout();
    testing::internal::CaptureStderr();
    const int code = train_main(int(argv.size()), argv.data(), spec_);
    stdout_ = testing::internal::GetCapturedStdout();
    stderr_ = testing::internal::GetCapturedStderr();
    return code;
  }

  TempFolder folder_;
  std::string out_ = (folder_ / "run").string();
  ModelSpec spec_;
  std::string stdout_, stderr_;
};

TEST_F(TrainMain, LeavesACompleteRunFolder) {
  EXPECT_EQ(run({}), 0) << stderr_;
  for (const char* file : {"args.toml", "results.csv", "results.svg", "summary.json",
                           "weights/last.safetensors", "weights/best.safetensors"}) {
    EXPECT_TRUE(std::filesystem::is_regular_file(std::filesystem::path(out_) / file)) << file;
  }
  EXPECT_THAT(stdout_, testing::HasSubstr("device: cpu (chosen)"));
  EXPECT_EQ(stderr_, "");
}

TEST_F(TrainMain, TrainsInLowPrecisionAsFp32WithinRounding) {
  const auto loss_in = [&](const char* precision) {
    out_ = (folder_ / precision).string();
    EXPECT_EQ(run({"--precision", precision, "--limit", "512"}), 0) << stderr_;
    std::ifstream file(std::filesystem::path(out_) / "summary.json");
    return nlohmann::json::parse(file).at("test_loss").get<double>();
  };
  const double exact = loss_in("fp32");
  for (const auto& [precision, tolerance, dtype] :
       {std::tuple{"bf16", 1.6e-2, DType::BF16}, std::tuple{"fp16", 2e-3, DType::F16}}) {
    EXPECT_NEAR(loss_in(precision), exact, tolerance * exact) << precision;
    const SafetensorsFile weights(std::filesystem::path(out_) / "weights/best.safetensors");
    EXPECT_EQ(weights.dtype("1.weight"), dtype);
  }
}

TEST_F(TrainMain, LabelsPixelsAndLeavesAPictureOfThem) {
  spec_.data = {
      .target = TargetKind::Mask, .side = 16, .train_count = 8, .validation_count = 4, .test_count = 9};
  spec_.make_model = [](const ImageShape& input, std::int64_t classes) -> std::unique_ptr<Module> {
    return std::make_unique<Conv2d>(input.channels, classes, 1);
  };
  spec_.make_task = [](Device device, std::int64_t classes) -> std::unique_ptr<Task> {
    return std::make_unique<SegmentationTask>(device, classes);
  };
  spec_.draw_predictions = draw_segmentation;
  EXPECT_EQ(run({"--data", "shapes"}), 0) << stderr_;
  EXPECT_THAT(stdout_, testing::HasSubstr("mean IoU"));
  const Image picture = read_image(std::filesystem::path(out_) / "predictions.png");
  EXPECT_EQ(picture.shape.height, 4 * (128 + 4) + 4);  // eight of the nine, in two columns
  out_ = (folder_ / "other").string();
  EXPECT_EQ(run({"--data", "digits"}), 2);
  EXPECT_THAT(stderr_, testing::HasSubstr("digits has no masks"));
}

/// Limits what may be reserved on the CPU beyond what is in use.
class MemoryLimit {
 public:
  explicit MemoryLimit(std::size_t room) {
    CachingAllocator& memory = allocator_for(Device::cpu());
    memory.empty_cache();
    memory.set_limit(memory.stats().total.reserved.current + room);
  }
  ~MemoryLimit() { allocator_for(Device::cpu()).set_limit(std::numeric_limits<std::size_t>::max()); }
};

TEST_F(TrainMain, TellsTheLargestBatchWhereMemoryRunsOut) {
  const MemoryLimit limit(std::size_t(40) << 20);
  EXPECT_EQ(run({"--batch-size", "8000", "--limit", "8000"}), 4);
  EXPECT_THAT(stderr_,
              testing::AllOf(testing::HasSubstr("out of memory (host)"), testing::HasSubstr("Held by: "),
                             testing::HasSubstr("The largest batch that would fit: ")));
}

TEST_F(TrainMain, HalvesTheBatchWhereMemoryRunsOut) {
  const MemoryLimit limit(std::size_t(44) << 20);
  EXPECT_EQ(run({"--batch-size", "8000", "--limit", "8000", "--auto-batch"}), 0) << stderr_;
  EXPECT_THAT(stdout_,
              testing::AllOf(testing::HasSubstr("starting again with batches of 4000"),
                             testing::HasSubstr("batch size 4000"), testing::HasSubstr("test: accuracy")));
}

TEST_F(TrainMain, HalvesTheBatchThreeTimesAtMost) {
  const MemoryLimit limit(std::size_t(1) << 20);
  EXPECT_EQ(run({"--batch-size", "800", "--limit", "800", "--auto-batch"}), 4);
  EXPECT_THAT(stderr_, testing::HasSubstr("out of memory (host)"));
}

TEST_F(TrainMain, DrawsTheMemoryOfTheSecondStep) {
  const std::filesystem::path picture = folder_ / "memory.svg";
  EXPECT_EQ(run({"--memory-timeline", picture.string(), "--batch-size", "32"}), 0) << stderr_;
  std::ifstream stream(picture);
  const std::string svg{std::istreambuf_iterator<char>(stream), {}};
  EXPECT_THAT(svg, testing::HasSubstr(">linear, batch 32, cpu: memory of one training step<"));
  for (const char* words : {">forward<", ">backward<", ">parameters<", ">optimizer<", ">data<", ">loss<"}) {
    EXPECT_THAT(svg, testing::HasSubstr(words));
  }
  EXPECT_THROW(allocator_for(Device::cpu()).stop_trace(), Error) << "the trace has ended";
}

TEST_F(TrainMain, ATrainingOfOneStepHasNoSecondOne) {
  EXPECT_EQ(run({"--memory-timeline", (folder_ / "m.svg").string(), "--batch-size", "64"}), 2);
  EXPECT_THAT(stderr_, testing::HasSubstr("--memory-timeline"));
  EXPECT_FALSE(std::filesystem::exists(out_));
}

TEST_F(TrainMain, JsonHasStandardOutputForItself) {
  EXPECT_EQ(run({"--json", "--epochs", "2"}), 0) << stderr_;
  EXPECT_EQ(std::count(stdout_.begin(), stdout_.end(), '\n'), 4);
  for (const char* event : {"start", "epoch", "final"}) {
    EXPECT_THAT(stdout_, testing::HasSubstr(std::string("{\"event\":\"") + event + "\""));
  }
  EXPECT_THAT(stdout_, testing::Not(testing::HasSubstr("device: cpu")));
  EXPECT_THAT(stderr_, testing::HasSubstr("device: cpu"));
}

TEST_F(TrainMain, ErrorsGoToStandardErrorWithTheirExitCode) {
  EXPECT_EQ(run({"--epoch", "3"}), 2);
  EXPECT_EQ(stdout_, "");
  EXPECT_THAT(stderr_, testing::StartsWith("error: unknown flag '--epoch'"));

  EXPECT_EQ(run({"--data", "mnist", "--data-dir", (folder_ / "nowhere").string()}), 3);
  EXPECT_THAT(stderr_, testing::HasSubstr("nowhere"));
  EXPECT_FALSE(std::filesystem::exists(out_)) << "a run that cannot begin leaves nothing behind";

  EXPECT_EQ(run({"--lr", "1e38", "--optimizer", "sgd", "--epochs", "50"}), 6) << stdout_;
  EXPECT_THAT(stderr_, testing::HasSubstr("diverged"));

  EXPECT_EQ(run({}), 2) << "the folder is not empty now";
  EXPECT_THAT(stderr_, testing::HasSubstr("--out"));
}

TEST_F(TrainMain, ProfileIsWrittenAndPrinted) {
  const std::string file = (folder_ / "trace.json").string();
  EXPECT_EQ(run({"--profile", file, "--batch-size", "8"}), 0) << stderr_;
  EXPECT_THAT(stdout_, testing::AllOf(testing::HasSubstr("steps 3 to 8"),
                                      testing::HasSubstr("linear_backward (backward)")));
  EXPECT_TRUE(std::filesystem::is_regular_file(file));

  out_ = (folder_ / "never").string();
  EXPECT_EQ(run({"--profile", (folder_ / "nowhere/trace.json").string()}), 3);
  EXPECT_THAT(stderr_, testing::HasSubstr("nowhere"));
  EXPECT_EQ(run({"--profile", file, "--batch-size", "64"}), 2) << "one step is too few";
  EXPECT_FALSE(std::filesystem::exists(out_)) << "a run that cannot begin leaves nothing behind";
}

TEST_F(TrainMain, PrecisionSwitchesTensorFloat32) {
  const bool before = kernels::allow_tf32();
  EXPECT_EQ(run({"--precision", "tf32"}), 0) << stderr_;
  EXPECT_TRUE(kernels::allow_tf32());
  out_ += "-2";
  EXPECT_EQ(run({"--precision", "fp32"}), 0) << stderr_;
  EXPECT_FALSE(kernels::allow_tf32());
  kernels::set_allow_tf32(before);
}

TEST_F(TrainMain, AModelThatFailsIsReportedWithItsOwnCode) {
  spec_.make_model = [](const ImageShape&, std::int64_t) -> std::unique_ptr<Module> {
    throw DeviceError("lost");
  };
  EXPECT_EQ(run({}), 5);
  EXPECT_EQ(stderr_, "error: lost\n");
}

TEST_F(TrainMain, HelpAndVersionAreNotErrors) {
  EXPECT_EQ(run({"--help"}), 0);
  EXPECT_THAT(stdout_, testing::HasSubstr("--batch-size"));
  EXPECT_EQ(run({"--version"}), 0);
  EXPECT_THAT(stdout_, testing::StartsWith("train_linear "));
}

}  // namespace
}  // namespace dlcuda

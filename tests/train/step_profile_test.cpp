#include "dlcuda/train/step_profile.h"

#include <nlohmann/json.hpp>

#include "dlcuda/core/error.h"
#include "dlcuda/kernels/matmul.h"
#include "dlcuda/tests/support/file_text.h"
#include "dlcuda/tests/support/temp_folder.h"

namespace dlcuda {
namespace {

class StepProfileTest : public testing::Test {
 protected:
  StepProfile make(std::int64_t steps) { return StepProfile(file_, steps); }
  void run(StepProfile& profile, std::int64_t first, std::int64_t last) {
    const Tensor a = Tensor::zeros({2, 2});
    for (std::int64_t step = first; step <= last; ++step) {
      profile.before_step(step);
      kernels::matmul(a, a);
      printed_ += profile.after_step(step);
    }
  }
  std::size_t recorded() const {
    std::size_t count = 0;
    const auto trace = nlohmann::json::parse(read_text(file_));
    for (const auto& event : trace.at("traceEvents")) {
      count += event.at("name") == "matmul";
    }
    return count;
  }

  TempFolder folder_;
  std::filesystem::path file_ = folder_ / "trace.json";
  std::string printed_;
};

TEST_F(StepProfileTest, RecordsStepsThreeToTwelve) {
  StepProfile profile = make(100);
  run(profile, 1, 11);
  EXPECT_FALSE(std::filesystem::exists(file_));
  EXPECT_TRUE(profiling());
  run(profile, 12, 20);
  EXPECT_FALSE(profiling());
  EXPECT_EQ(recorded(), 10u);
  for (const char* words : {"steps 3 to 12", "trace.json", "ui.perfetto.dev", "matmul"}) {
    EXPECT_THAT(printed_, testing::HasSubstr(words));
  }
}

TEST_F(StepProfileTest, AShortRunIsRecordedToItsEnd) {
  StepProfile profile = make(4);
  run(profile, 1, 4);
  EXPECT_EQ(recorded(), 2u);
  EXPECT_THAT(printed_, testing::HasSubstr("steps 3 to 4"));
}

TEST_F(StepProfileTest, AnInterruptedRunLeavesWhatThereIs) {
  {
    StepProfile profile = make(100);
    run(profile, 1, 5);
    printed_ += profile.finish();
    EXPECT_EQ(profile.finish(), "");
  }
  EXPECT_EQ(recorded(), 3u);
  EXPECT_THAT(printed_, testing::HasSubstr("steps 3 to 5"));
}

TEST_F(StepProfileTest, ARunThatNeverCameThereLeavesNothing) {
  {
    StepProfile profile = make(100);
    run(profile, 1, 2);
    profile.before_step(3);
    printed_ += profile.finish();
  }
  EXPECT_FALSE(profiling());
  EXPECT_TRUE(std::filesystem::is_empty(folder_.path()));
  EXPECT_THAT(printed_, testing::HasSubstr("ended after step 2"));
}

TEST_F(StepProfileTest, ARunThatBeginsAgainIsRecordedFromItsBeginning) {
  StepProfile profile = make(100);
  run(profile, 1, 5);
  profile.restart();
  EXPECT_FALSE(profiling());
  run(profile, 1, 12);
  EXPECT_EQ(recorded(), 10u);
  profile.restart();
  run(profile, 1, 12);
  EXPECT_EQ(recorded(), 10u) << "what is written stays";
}

TEST_F(StepProfileTest, RefusesWhatCannotWorkAtOnce) {
  expect_error<ArgumentError>([&] { make(2); }, "--profile", "begins at step 3", "has 2");
  file_ = folder_ / "missing/trace.json";
  expect_error<IoError>([&] { make(100); }, file_.string());
}

}  // namespace
}  // namespace dlcuda

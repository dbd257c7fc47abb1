#include "dlcuda/train/console.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "dlcuda/tests/support/captured_file.h"
#include "dlcuda/tests/train/reports.h"

namespace dlcuda {
namespace {

using testing::HasSubstr;
using testing::Not;

ProgressReport half_way() {
  return {.epoch = 3,
          .epochs = 12,
          .step = 50,
          .steps = 100,
          .images_per_second = 12345,
          .seconds_left = 75,
          .loss = 0.4321};
}

int columns(const std::string& utf8) {
  return int(std::count_if(utf8.begin(), utf8.end(), [](char c) { return (c & 0xc0) != 0x80; }));
}

TEST(Console, APipeGetsOneLineAnEpochAndNoControlCharacters) {
  const CapturedFile out;
  Console console(out.get(), {.terminal = false});
  console.on_start(sample_start());
  const auto header = out.text().size();
  console.on_progress(half_way());
  EXPECT_EQ(out.text().size(), header);
  console.on_epoch(sample_epoch(1));
  console.on_epoch(sample_epoch(2));
  console.on_final(sample_final());

  const std::string text = out.text(), body = text.substr(header);
  EXPECT_THAT(text, Not(HasSubstr("\r")));
  EXPECT_THAT(text, Not(HasSubstr("\x1b")));
  EXPECT_EQ(std::count(body.begin(), body.begin() + std::ptrdiff_t(body.find("test:")), '\n'), 2);
  EXPECT_THAT(body,
              HasSubstr("epoch  1/12  train loss 0.5000  val loss 0.2500  val accuracy 96.25%  12,346 img/s  "
                        "1.5 s  best\n"));
  EXPECT_THAT(body, HasSubstr("12,346 img/s  1.5 s\n"));
  EXPECT_THAT(body, HasSubstr("test: accuracy 98.77%"));
}

TEST(Console, TheHeaderSaysModelDeviceAndFolder) {
  const CapturedFile out;
  Console(out.get(), {}).on_start(sample_start());
  EXPECT_THAT(out.text(), HasSubstr("model: lenet5, 61,706 parameters\n"));
  EXPECT_THAT(out.text(), HasSubstr("device: cpu (no CUDA driver found), 2 threads"));
  EXPECT_THAT(out.text(), HasSubstr("data: 20 digits\n"));
  EXPECT_THAT(out.text(), HasSubstr("run folder: runs/lenet5\n"));
  EXPECT_THAT(out.text(), HasSubstr("  conv1  Conv2d(1, 6, kernel 5x5)  [1, 6, 28, 28]     156\n"
                                    "  fc3    Linear(84, 10)            [1, 10]            850\n"));
}

TEST(Console, ATerminalGetsABarThatIsRedrawnAndGivesWayToTheEpochsLine) {
  const CapturedFile out;
  Console console(out.get(), {.terminal = true, .unicode = false, .fixed_width = 80});
  console.on_progress(half_way());
  const std::string bar = out.text();
  EXPECT_EQ(bar.front(), '\r');
  EXPECT_THAT(bar, HasSubstr("epoch  3/12 ####"));
  EXPECT_THAT(bar, Not(HasSubstr("\n")));
  console.on_epoch(sample_epoch(3));
  EXPECT_THAT(out.text().substr(bar.size()), testing::StartsWith("\r\x1b[Kepoch  3/12  train loss"));
}

TEST(Console, NoBarIsLeftBehind) {
  const CapturedFile out;
  { Console(out.get(), {.terminal = true, .fixed_width = 80}).on_progress(half_way()); }
  EXPECT_THAT(out.text(), testing::EndsWith("\r\x1b[K"));
}

TEST(Console, TheBarFitsEveryWidth) {
  for (const bool unicode : {false, true}) {
    for (int width = 0; width < 200; ++width) {
      EXPECT_LE(columns(format_progress(half_way(), width, unicode)), width);
    }
  }
  const std::string wide = format_progress(half_way(), 120, true);
  for (const char* part : {"epoch  3/12", "━", "50%", "loss 0.4321", "12,345 img/s", "ETA 1:15"}) {
    EXPECT_THAT(wide, HasSubstr(part));
  }
  EXPECT_THAT(format_progress(half_way(), 24, false), HasSubstr("50%"));
}

TEST(Console, TheBarGrowsFromEmptyToFull) {
  ProgressReport report = half_way();
  report.step = 0;
  EXPECT_THAT(format_progress(report, 100, false), Not(HasSubstr("#")));
  report.step = report.steps;
  EXPECT_THAT(format_progress(report, 100, false), Not(HasSubstr(".....")));
  EXPECT_THAT(format_progress(report, 100, false), HasSubstr("100%"));
}

TEST(Console, NumbersForPeople) {
  EXPECT_EQ(with_commas(0), "0");
  EXPECT_EQ(with_commas(999), "999");
  EXPECT_EQ(with_commas(1000), "1,000");
  EXPECT_EQ(with_commas(-1234567), "-1,234,567");
  EXPECT_EQ(format_duration(5), "0:05");
  EXPECT_EQ(format_duration(75), "1:15");
  EXPECT_EQ(format_duration(4000), "1:06:40");
  EXPECT_EQ(format_duration(1.0 / 0.0), "?");
}

}  // namespace
}  // namespace dlcuda

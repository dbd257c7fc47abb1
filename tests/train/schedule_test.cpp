#include "dlcuda/train/schedule.h"

#include <gtest/gtest.h>

#include "dlcuda/core/error.h"

namespace dlcuda {
namespace {

TEST(Schedule, ConstantStaysAtOne) {
  const Schedule schedule = constant_schedule();
  EXPECT_EQ(schedule.factor(0), 1.0);
  EXPECT_EQ(schedule.factor(0.7), 1.0);
}

TEST(Schedule, CosineFallsFromOneToItsEnd) {
  const Schedule schedule = cosine_schedule(0.1);
  EXPECT_DOUBLE_EQ(schedule.factor(0), 1.0);
  EXPECT_DOUBLE_EQ(schedule.factor(0.5), 0.55);
  EXPECT_DOUBLE_EQ(schedule.factor(1), 0.1);
  for (double done = 0; done < 0.95; done += 0.1)
    EXPECT_GT(schedule.factor(done), schedule.factor(done + 0.05));
}

TEST(Schedule, WarmsUpAlongALineThenFallsToZero) {
  const auto factor = warmup_cosine_schedule(0.2).factor;
  EXPECT_DOUBLE_EQ(factor(0), 0.05);
  EXPECT_DOUBLE_EQ(factor(0.1), 0.525);
  EXPECT_DOUBLE_EQ(factor(0.2), 1.0);
  EXPECT_DOUBLE_EQ(factor(0.6), 0.5);
  EXPECT_NEAR(factor(1), 0.0, 1e-15);
  EXPECT_DOUBLE_EQ(warmup_cosine_schedule(0).factor(0), 1.0);
  for (const double part : {-0.1, 1.0}) EXPECT_THROW(warmup_cosine_schedule(part), ArgumentError);
}

}  // namespace
}  // namespace dlcuda

#include "dlcuda/train/schedule.h"

#include <gtest/gtest.h>

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

}  // namespace
}  // namespace dlcuda

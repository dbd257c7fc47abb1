#include "dlcuda/train/interrupt.h"

#include <gtest/gtest.h>

#include <csignal>

namespace dlcuda {
namespace {

TEST(Interrupt, RemembersTheFirstSignal) {
  for (const int number : {SIGINT, SIGTERM}) {
    const InterruptGuard guard;
    EXPECT_EQ(guard.signal(), 0);
    std::raise(number);
    EXPECT_EQ(guard.signal(), number);
  }
}

TEST(InterruptDeathTest, ASecondSignalEndsTheProcess) {
  EXPECT_EXIT(
      {
        const InterruptGuard guard;
        std::raise(SIGINT);
        std::raise(SIGINT);
      },
      testing::KilledBySignal(SIGINT), "");
}

TEST(InterruptDeathTest, AfterwardsSignalsActAsBefore) {
  EXPECT_EXIT(
      {
        { const InterruptGuard guard; }
        std::raise(SIGTERM);
      },
      testing::KilledBySignal(SIGTERM), "");
}

}  // namespace
}  // namespace dlcuda

// What TrafficCounter makes of accesses, given to it by hand: two warps, and blocks of them.
#include "dlcuda/tests/hostcuda/traffic.h"

#include <cuda_runtime.h>
#include <gtest/gtest.h>

namespace dlcuda::hostcuda {
namespace {

constexpr unsigned kThreads = 64;
constexpr std::uintptr_t kBegin = 1 << 20;

class Counted : public testing::Test {
 protected:
  Counted() {
    blockDim = dim3(kThreads);
    counter_.launch_begins("kernel", {{kBegin, kBegin + (1 << 16)}});
  }

  /// Every thread of a block loads or stores at kBegin + offset(thread).
  template <typename Offset>
  void block(std::size_t bytes, bool store, const Offset& offset) {
    for (unsigned t = 0; t < kThreads; ++t) {
      threadIdx.x = t;
      counter_.access(kBegin + offset(t), bytes, store, &counter_);
    }
    threadIdx.x = 0;
    counter_.block_ends();
  }
  Traffic take() {
    counter_.launch_ends();
    return counter_.take();
  }

  TrafficCounter counter_;
};

TEST_F(Counted, NeighboursShareSectors) {
  block(4, false, [](unsigned t) { return 4 * t; });
  const Traffic traffic = take();
  EXPECT_EQ(traffic.loads, 8);
  EXPECT_EQ(traffic.stores, 0);
  EXPECT_EQ(traffic.requested, 8);
  EXPECT_EQ(traffic.ideal, 8);
}

TEST_F(Counted, StridesWasteSectors) {
  block(4, true, [](unsigned t) { return 64 * t; });
  const Traffic traffic = take();
  EXPECT_EQ(traffic.stores, 64);
  EXPECT_EQ(traffic.requested, 64);
  EXPECT_EQ(traffic.ideal, 8);
}

TEST_F(Counted, ABlockFetchesASectorOnceAndEveryBlockAnew) {
  block(4, false, [](unsigned) { return 0; });
  block(4, false, [](unsigned) { return 8; });
  const Traffic traffic = take();
  EXPECT_EQ(traffic.loads, 2);
  EXPECT_EQ(traffic.distinct_loads, 1);
  EXPECT_EQ(traffic.requested, 4) << "a broadcast is one sector for each warp";
  EXPECT_EQ(traffic.ideal, 4);
}

TEST_F(Counted, AnAccessAcrossSectorsTakesBoth) {
  block(16, false, [](unsigned t) { return t == 0 ? 24 : 32; });
  EXPECT_EQ(take().loads, 2);
}

TEST_F(Counted, OtherMemoryDoesNotCount) {
  block(4, false, [](unsigned) { return (1 << 16) + 4; });
  const Traffic traffic = take();
  EXPECT_EQ(traffic.loads, 0);
  EXPECT_EQ(traffic.requested, 0);
}

// The same place for the second time is another access.
TEST_F(Counted, TurnsOfALoopAreRequestsOfTheirOwn) {
  for (const std::uintptr_t offset : {0, 4}) {
    threadIdx.x = 5;
    counter_.access(kBegin + offset, 4, false, &counter_);
  }
  threadIdx.x = 0;
  counter_.block_ends();
  const Traffic traffic = take();
  EXPECT_EQ(traffic.loads, 1);
  EXPECT_EQ(traffic.requested, 2);
}

}  // namespace
}  // namespace dlcuda::hostcuda

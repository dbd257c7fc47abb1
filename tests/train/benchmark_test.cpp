#include "dlcuda/train/benchmark.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "dlcuda/core/error.h"
#include "dlcuda/tests/support/devices.h"
#include "dlcuda/train/device_peaks.h"

namespace dlcuda {
namespace {

TEST(Spread, QuartilesLieBetweenNeighbours) {
  const Spread spread = spread_of({5, 1, 4, 2});
  EXPECT_EQ(spread.least, 1);
  EXPECT_EQ(spread.lower_quartile, 1.75);
  EXPECT_EQ(spread.median, 3);
  EXPECT_EQ(spread.upper_quartile, 4.25);
  EXPECT_EQ(spread.most, 5);
}

TEST(Spread, OfOneValueIsThatValue) {
  const Spread spread = spread_of({2.5});
  for (const double value :
       {spread.least, spread.lower_quartile, spread.median, spread.upper_quartile, spread.most}) {
    EXPECT_EQ(value, 2.5);
  }
  EXPECT_THROW(spread_of({}), ArgumentError);
}

TEST(Benchmark, ARoundIsAsManyCallsAsItSays) {
  std::int64_t calls = 0;
  volatile double sink = 0;
  Benchmark benchmark(
      Device::cpu(),
      [&] {
        ++calls;
        for (int i = 0; i < 1000; ++i) sink = sink + i;
      },
      1e-3);
  // Three to warm up, at least one to find out how many make a round.
  EXPECT_GE(calls, 4);
  for (int round = 0; round < 3; ++round) {
    const std::int64_t before = calls;
    EXPECT_GT(benchmark.round(), 0);
    EXPECT_EQ(calls - before, benchmark.calls_per_round());
  }
}

TEST(Benchmark, RefusesRoundsWithoutLength) {
  for (const double seconds : {0.0, -1.0, std::nan(""), std::numeric_limits<double>::infinity()}) {
    EXPECT_THROW(Benchmark(
                     Device::cpu(), [] {}, seconds),
                 ArgumentError)
        << seconds;
  }
}

TEST(Roofline, TheSlowerOfBothCounts) {
  const DevicePeaks peaks{.flops = 100, .bytes = 10};
  EXPECT_EQ(roofline_seconds(peaks, 500, 20), 5);
  EXPECT_EQ(roofline_seconds(peaks, 100, 20), 2);
}

TEST(DevicePeaks, AreMeasuredWithAnyNumberOfBytes) {
  for (const Device device : testing::test_devices()) {
    SCOPED_TRACE(to_string(device));
    for (const DType dtype : {DType::F32, DType::BF16}) {
      const DevicePeaks peaks = measure_peaks(device, dtype, {.extent = 8, .bytes = 1003}, 1e-6);
      EXPECT_GT(peaks.flops, 0);
      EXPECT_GT(peaks.bytes, 0);
    }
  }
}

}  // namespace
}  // namespace dlcuda

// Correct kernels give on the shim what they give on a GPU, whatever the order of blocks and threads.
#include "dlcuda/tests/hostcuda/shim.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>

#include "dlcuda/tests/hostcuda/device_buffer.h"
#include "dlcuda/tests/hostcuda/sample_kernels.h"

namespace dlcuda::hostcuda {
namespace {

std::vector<float> whole_numbers(std::size_t n) {
  std::vector<float> values(n);
  for (std::size_t i = 0; i < n; ++i) values[i] = float(i % 13) - 4.0f;
  return values;
}

class HostShim : public testing::TestWithParam<std::uint64_t> {
 protected:
  void SetUp() override { set_seed(GetParam()); }
  void TearDown() override { reset(); }
};
INSTANTIATE_TEST_SUITE_P(Seeds, HostShim, testing::Values(1, 2, 3, 12345));

TEST_P(HostShim, SumsBlocksThroughShufflesAndSharedMemory) {
  for (const int threads : {32, 64, 256, 1024}) {
    const int blocks = 5;
    const auto values = whole_numbers(std::size_t(blocks * threads));
    const DeviceBuffer<float> in(values), out(blocks);
    sample::block_sums(out.data(), in.data(), blocks, threads);
    const auto sums = out.to_host();
    for (int b = 0; b < blocks; ++b) {
      EXPECT_EQ(sums[std::size_t(b)],
                std::accumulate(values.begin() + b * threads, values.begin() + (b + 1) * threads, 0.0f));
    }
  }
}

TEST_P(HostShim, ShufflesWithinSegments) {
  for (const int width : {32, 8}) {
    const int source = 3, delta = 2;
    const DeviceBuffer<int> out(std::size_t(4 * 64));
    sample::shuffles(out.data(), 64, source, delta, width);
    const auto read = out.to_host();
    for (int thread = 0; thread < 64; ++thread) {
      const int lane = thread % 32, warp = thread - lane, segment = lane / width * width;
      const int up = lane - delta < segment ? lane : lane - delta;
      const int down = lane + delta >= segment + width ? lane : lane + delta;
      EXPECT_EQ(read[std::size_t(4 * thread)], warp + segment + source);
      EXPECT_EQ(read[std::size_t(4 * thread + 1)], warp + up);
      EXPECT_EQ(read[std::size_t(4 * thread + 2)], warp + down);
      EXPECT_EQ(read[std::size_t(4 * thread + 3)], warp + (lane ^ delta));
    }
  }
}

TEST_P(HostShim, TakesAPartialLastWarp) {
  const int threads = 44, below = 40;
  const DeviceBuffer<unsigned> out(std::size_t(4 * threads + 2));
  sample::votes(out.data(), threads, below);
  const auto votes = out.to_host();
  for (int thread = 0; thread < threads; ++thread) {
    const auto at = [&](int k) { return votes[std::size_t(4 * thread + k)]; };
    EXPECT_EQ(at(0), thread < 32 ? 0xffffffffu : 0xffu);
    EXPECT_EQ(at(1), 1u);
    EXPECT_EQ(at(2), thread < 32 ? 1u : 0u);
    EXPECT_EQ(at(3), 40u);
  }
  EXPECT_EQ(votes[std::size_t(4 * threads)], 0u);
  EXPECT_EQ(votes[std::size_t(4 * threads + 1)], 1u);
}

TEST_P(HostShim, RunsThreeDimensionalGridsAndBlocks) {
  const dim3 grid(3, 2, 4), block(5, 3, 2);
  const std::size_t n = 3 * 2 * 4 * 5 * 3 * 2;
  const DeviceBuffer<int> out(n);
  sample::echo_indices(out.data(), grid, block);
  std::vector<int> expected(n);
  std::iota(expected.begin(), expected.end(), 0);
  EXPECT_EQ(out.to_host(), expected);
}

TEST_P(HostShim, GivesDynamicSharedMemory) {
  const int runs = 7, threads = 96;
  const auto values = whole_numbers(std::size_t(runs * threads));
  const DeviceBuffer<float> data(values);
  sample::reverse_runs(data.data(), runs, threads);
  auto expected = values;
  for (int r = 0; r < runs; ++r) {
    std::reverse(expected.begin() + r * threads, expected.begin() + (r + 1) * threads);
  }
  EXPECT_EQ(data.to_host(), expected);
}

TEST_P(HostShim, CountsWithAtomics) {
  std::vector<int> values(1000);
  for (int i = 0; i < 1000; ++i) values[std::size_t(i)] = i * 7 % 10;
  const DeviceBuffer<int> in(values), extremes(std::vector<int>{5, 5});
  const DeviceBuffer<unsigned> counts(std::vector<unsigned>(10, 0));
  sample::histogram(counts.data(), extremes.data(), in.data(), 1000);
  EXPECT_THAT(counts.to_host(), testing::Each(100u));
  EXPECT_THAT(extremes.to_host(), testing::ElementsAre(0, 9));
}

TEST_P(HostShim, LetsTheLastBlockFinish) {
  const DeviceBuffer<unsigned> out(1), scratch(20), ticket(std::vector<unsigned>{0});
  sample::last_block_sums(out.data(), scratch.data(), ticket.data(), 20);
  EXPECT_EQ(out.to_host()[0], 210u);
  EXPECT_EQ(ticket.to_host()[0], 0u);
}

TEST_P(HostShim, RunsManyBlocksWithVectorLoadsAndATail) {
  const int n = 256 * 1000 * 4 - 1;
  auto expected = whole_numbers(std::size_t(n));
  const DeviceBuffer<float> data(expected);
  sample::add(data.data(), n, 2.0f);
  for (auto& value : expected) value += 2.0f;
  EXPECT_EQ(data.to_host(), expected);
}

TEST(HostShimDevice, IsNeverMistakenForAGpu) {
  cudaDeviceProp properties{};
  ASSERT_EQ(cudaGetDeviceProperties(&properties, 0), cudaSuccess);
  EXPECT_STREQ(properties.name, "host shim (CUDA kernels executed on the CPU)");
}

TEST(HostShimLaunch, AsksForMoreSharedMemoryThanTheDefault) {
  const DeviceBuffer<float> out(1);
  sample::with_shared_bytes(out.data(), 100000);
  EXPECT_EQ(out.to_host()[0], 3.0f);
}

TEST(HostShimLaunch, CountsLaunchesAndSkipsEmptyGrids) {
  const auto before = counters().launches;
  sample::nothing(dim3(0, 1, 1), 32, 0);
  EXPECT_EQ(counters().launches, before);
  sample::nothing(2, 32, 0);
  EXPECT_EQ(counters().launches, before + 1);
}

}  // namespace
}  // namespace dlcuda::hostcuda

// Each planted bug is caught, by a test of its own.
#include "dlcuda/tests/hostcuda/planted_bugs.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string_view>

#include "dlcuda/tests/hostcuda/device_buffer.h"
#include "dlcuda/tests/hostcuda/shim.h"

namespace dlcuda::hostcuda {
namespace {

using testing::AllOf;
using testing::HasSubstr;

bool built_with(std::string_view sanitizer) {
  return std::string_view(DLCUDA_SHIM_SANITIZERS).find(sanitizer) != std::string_view::npos;
}

/// The message of the KernelError that `run` throws; empty, with a failure, when it throws none.
template <typename Run>
std::string kernel_error(Run run) {
  try {
    run();
  } catch (const KernelError& error) {
    return error.what();
  }
  ADD_FAILURE() << "the bug was not caught";
  return "";
}

class PlantedBug : public testing::Test {
 protected:
  void SetUp() override { GTEST_FLAG_SET(death_test_style, "threadsafe"); }
  void TearDown() override { reset(); }
};
using PlantedBugDeathTest = PlantedBug;

TEST_F(PlantedBugDeathTest, OutOfBoundsRead) {
  const int n = 100;
  const DeviceBuffer<float> in(std::vector<float>(n, 1.0f)), out(n);
  if (built_with("address")) {
    EXPECT_DEATH(
        planted::read_past_the_end(out.data(), in.data(), n),
        "heap-buffer-overflow(.|\n)*kernel 'read_past_the_end', block \\(0, 0, 0\\), thread \\(99, 0, 0\\)");
  } else {
    planted::read_past_the_end(out.data(), in.data(), n);
    EXPECT_TRUE(std::isnan(out.to_host().back())) << "beside an allocation lies poison";
  }
}

TEST_F(PlantedBugDeathTest, OutOfBoundsWrite) {
  const int n = 100;
  if (built_with("address")) {
    const DeviceBuffer<float> out(n);
    EXPECT_DEATH(planted::write_past_the_end(out.data(), n), "heap-buffer-overflow");
  } else {
    float* out = nullptr;
    ASSERT_EQ(cudaMalloc(&out, n * sizeof(float)), cudaSuccess);
    EXPECT_THAT(kernel_error([&] { planted::write_past_the_end(out, n); }),
                AllOf(HasSubstr("write_past_the_end"), HasSubstr("400 bytes were overwritten")));
    EXPECT_THROW(check_guards(), KernelError);
    out[n] = __uint_as_float(0xffffffffu);  // makes the guard whole again
    EXPECT_EQ(cudaFree(out), cudaSuccess);
  }
}

TEST_F(PlantedBug, UnwrittenOutput) {
  const int n = 300;
  const DeviceBuffer<float> out(n);
  planted::leave_the_last_unwritten(out.data(), n);
  const auto values = out.to_host();
  EXPECT_EQ(std::count(values.begin(), values.end(), 1.0f), n - 1);
  EXPECT_TRUE(std::isnan(values.back()));
}

TEST_F(PlantedBug, MissingBarrier) {
  std::vector<float> values(256);
  for (int i = 0; i < 256; ++i) values[std::size_t(i)] = float(i);
  const DeviceBuffer<float> in(values), out(1);
  int wrong = 0;
  for (std::uint64_t seed = 1; seed <= 8; ++seed) {
    set_seed(seed);
    planted::sum_256(out.data(), in.data(), /*with_barriers=*/true);
    EXPECT_EQ(out.to_host()[0], 32640.0f) << "seed " << seed;
    set_seed(seed);
    planted::sum_256(out.data(), in.data(), /*with_barriers=*/false);
    wrong += out.to_host()[0] != 32640.0f;
  }
  EXPECT_GE(wrong, 1);
}

TEST_F(PlantedBug, MissingSyncwarp) {
  const DeviceBuffer<float> in(std::vector<float>(32, 1.0f)), out(32);
  planted::rotate_without_syncwarp(out.data(), in.data());
  const auto values = out.to_host();
  EXPECT_TRUE(std::any_of(values.begin(), values.end(), [](float v) { return std::isnan(v); }));
}

TEST_F(PlantedBug, ExitBeforeBarrier) {
  const DeviceBuffer<float> out(128);
  EXPECT_THAT(kernel_error([&] { planted::exit_before_barrier(out.data(), 100); }),
              AllOf(HasSubstr("kernel 'exit_before_barrier', block (0, 0, 0)"),
                    HasSubstr("28 thread(s) exited after 0 barrier(s), the first (100, 0, 0)"),
                    HasSubstr("100 thread(s) at barrier 1 (__syncthreads at planted_bugs.cu:"),
                    HasSubstr("the first (0, 0, 0)")));
  planted::exit_before_barrier(out.data(), 128);  // and the shim goes on
  EXPECT_THAT(out.to_host(), testing::Each(1.0f));
}

TEST_F(PlantedBug, BarrierInBothBranches) {
  const DeviceBuffer<float> out(64);
  EXPECT_THAT(kernel_error([&] { planted::barrier_in_both_branches(out.data()); }),
              AllOf(HasSubstr("kernel 'barrier_in_both_branches'"), HasSubstr("divergent barrier 1")));
}

TEST_F(PlantedBug, LaneOutsideItsMask) {
  const DeviceBuffer<float> out(32);
  EXPECT_THAT(kernel_error([&] { planted::lane_outside_its_mask(out.data()); }),
              AllOf(HasSubstr("thread (5, 0, 0)"), HasSubstr("lane 5 is not in its own mask 0xffffffdf")));
}

TEST_F(PlantedBug, LaneMissingInShuffle) {
  const DeviceBuffer<float> out(32);
  EXPECT_THAT(
      kernel_error([&] { planted::lane_missing_in_shuffle(out.data()); }),
      AllOf(HasSubstr("31 thread(s) in __shfl_sync at planted_bugs.cu:"), HasSubstr("with mask 0xffffffff"),
            HasSubstr("1 thread(s) exited after 0 barrier(s), the first (7, 0, 0)")));
}

TEST_F(PlantedBug, ShuffleFromOutsideTheMask) {
  const DeviceBuffer<float> out(32);
  EXPECT_THAT(kernel_error([&] { planted::shuffle_from_outside_the_mask(out.data()); }),
              AllOf(HasSubstr("thread (15, 0, 0)"),
                    HasSubstr("lane 15 reads from lane 16, which is not in the mask 0x0000ffff")));
}

TEST_F(PlantedBug, ReductionOverAPartialWarp) {
  const DeviceBuffer<float> out(1);
  EXPECT_THAT(kernel_error([&] { planted::reduce_over_a_partial_warp(out.data()); }),
              HasSubstr("lane 4 reads from lane 20, which lies beyond the end of the block"));
}

TEST_F(PlantedBug, UnwrittenSharedMemory) {
  const DeviceBuffer<float> out(8);
  for (int launch = 0; launch < 2; ++launch) {
    planted::read_unwritten_shared(out.data());
    for (const float value : out.to_host()) EXPECT_TRUE(std::isnan(value)) << "launch " << launch;
  }
}

TEST_F(PlantedBugDeathTest, StaticSharedOverrun) {
  if (!built_with("address")) GTEST_SKIP() << "seen by AddressSanitizer only; run the preset asan";
  const DeviceBuffer<float> out(8);
  EXPECT_DEATH(planted::overrun_static_shared(out.data()), "global-buffer-overflow");
}

TEST_F(PlantedBugDeathTest, DynamicSharedOverrun) {
  const DeviceBuffer<float> out(8);
  if (built_with("address")) {
    EXPECT_DEATH(planted::overrun_dynamic_shared(out.data()), "heap-buffer-overflow");
  } else {
    EXPECT_THAT(kernel_error([&] { planted::overrun_dynamic_shared(out.data()); }),
                HasSubstr("wrote beside its 32 bytes of dynamic shared memory"));
  }
}

TEST_F(PlantedBugDeathTest, MisalignedVectorLoad) {
  if (!built_with("undefined"))
    GTEST_SKIP() << "seen by UndefinedBehaviorSanitizer only; run the preset asan";
  const DeviceBuffer<float> in(std::vector<float>(8, 1.0f)), out(1);
  EXPECT_DEATH(planted::load_misaligned_float4(out.data(), in.data()), "misaligned address");
}

}  // namespace
}  // namespace dlcuda::hostcuda

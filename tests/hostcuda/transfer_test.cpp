// What the mock runtime sees of copies, streams and ranges: only page-locked host memory is copied
// asynchronously, priorities reach the streams, and NVTX ranges are balanced.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "dlcuda/core/error.h"
#include "dlcuda/core/profile.h"
#include "dlcuda/core/stream.h"
#include "dlcuda/core/tensor.h"
#include "dlcuda/core/transfer.h"
#include "dlcuda/kernels/activation.h"
#include "dlcuda/tests/hostcuda/shim.h"

namespace dlcuda::hostcuda {
namespace {

const Device kCuda = Device::cuda();

TEST(Transfers, HostMemoryIsNeverPageable) {
  const auto before = counters().pageable_copies;
  const Tensor host = Tensor::zeros({3, 5, 4, 4});
  const Tensor there = host.to(kCuda);
  there.values<float>();
  there.slice(0, 1).to(Device::cpu());
  host.channel_slice(1, 3).to(kCuda).channel_slice(0, 1).to(Device::cpu());
  EXPECT_EQ(Tensor::scalar(3.0f, kCuda).item<float>(), 3.0f);
  EXPECT_EQ(counters().pageable_copies, before);

  float value = 0;  // and that they would have been counted
  ASSERT_EQ(cudaMemcpyAsync(&value, there.data(), sizeof value, cudaMemcpyDefault), cudaSuccess);
  EXPECT_EQ(counters().pageable_copies, before + 1);
}

TEST(Transfers, AFailedCopyIsATypedErrorAndTheNextOneWorks) {
  const std::vector<std::uint8_t> values(6 * kStagingBytes + 5, 9);
  const Tensor there = Tensor::from_values(values, {std::int64_t(values.size())}, kCuda);
  int failures = 0;
  for (int n = 1;; ++n) {
    const std::uint64_t before = counters().calls;
    fail_call(std::uint64_t(n));
    bool failed = false;
    try {
      EXPECT_EQ(there.values<std::uint8_t>(), values);
      const Tensor again = Tensor::from_values(values, {std::int64_t(values.size())}, kCuda);
    } catch (const DeviceError&) {
      failed = true;
    } catch (const OutOfMemoryError&) {
      failed = true;
    }
    const bool struck = counters().calls >= before + std::uint64_t(n);
    reset();
    EXPECT_EQ(there.values<std::uint8_t>(), values) << "after the failure of call " << n;
    if (!struck) break;
    failures += failed ? 1 : 0;  // those that only give something back go by unnoticed
  }
  EXPECT_GE(failures, 20) << "each piece has a copy and an event, both ways";
}

TEST(Streams, PrioritiesHavePoolsOfTheirOwn) {
  const auto priority_of = [](const Stream& stream) {
    int priority = 1;
    EXPECT_EQ(cudaStreamGetPriority(static_cast<cudaStream_t>(stream.native()), &priority), cudaSuccess);
    return priority;
  };
  int lowest = 0, highest = 0;
  ASSERT_EQ(cudaDeviceGetStreamPriorityRange(&lowest, &highest), cudaSuccess);
  for (int round = 0; round < 2; ++round) {  // the second one takes them from the pools
    const Stream normal = Stream::create(kCuda), high = Stream::create(kCuda, StreamPriority::High);
    EXPECT_EQ(priority_of(normal), 0);
    EXPECT_EQ(priority_of(high), highest);
    EXPECT_LT(highest, 0);
  }
}

TEST(Nvtx, RangesAndOperationsAreShownWhileAProfileRecords) {
  const Tensor x = Tensor::zeros({4}, DType::F32, kCuda);
  take_nvtx_names();
  Profile profile;
  {
    const ProfileRange range("outer");
    EXPECT_EQ(open_nvtx_ranges(), 1);
    kernels::activation_forward(x, {});
    EXPECT_EQ(open_nvtx_ranges(), 1);
  }
  EXPECT_EQ(open_nvtx_ranges(), 0);
  profile.stop();
  EXPECT_THAT(take_nvtx_names(), testing::ElementsAre("outer", "activation_forward"));
}

TEST(Nvtx, TheEnvironmentAsksForThem) {
  const char* value = std::getenv("DLCUDA_NVTX");
  const bool wanted = value != nullptr && std::string(value) == "1";
  take_nvtx_names();
  EXPECT_EQ(profiling(), wanted);
  { const ProfileRange range("outer"); }
  EXPECT_EQ(take_nvtx_names().size(), wanted ? 1u : 0u);
}

}  // namespace
}  // namespace dlcuda::hostcuda

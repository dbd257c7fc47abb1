// The mock runtime: memory, copies, streams, events, faults and leaks.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>

#include "dlcuda/tests/hostcuda/device_buffer.h"
#include "dlcuda/tests/hostcuda/sample_kernels.h"
#include "dlcuda/tests/hostcuda/shim.h"

namespace dlcuda::hostcuda {
namespace {

using testing::HasSubstr;

class MockRuntime : public testing::Test {
 protected:
  void TearDown() override { reset(); }
};

TEST_F(MockRuntime, PoisonsAndAlignsFreshMemory) {
  unsigned char* bytes = nullptr;
  ASSERT_EQ(cudaMalloc(&bytes, 1000), cudaSuccess);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(bytes) % 256, 0u);
  EXPECT_EQ(std::count(bytes, bytes + 1000, 0xff), 1000);
  EXPECT_EQ(cudaFree(bytes), cudaSuccess);
}

TEST_F(MockRuntime, ADryRunIsToldOfWorkAndDoesNone) {
  const DeviceBuffer<float> data(std::vector<float>{1, 2, 3});
  std::vector<std::pair<Work::Kind, std::string>> told;
  set_dry_run([&](const Work& work) { told.emplace_back(work.kind, work.name); });
  sample::add(data.data(), 3, 5);
  auto* const nowhere = reinterpret_cast<float*>(std::uintptr_t(1) << 40);
  EXPECT_EQ(cudaMemsetAsync(nowhere, 0, 12), cudaSuccess);
  EXPECT_EQ(cudaMemcpyAsync(nowhere, data.data(), 12, cudaMemcpyDeviceToDevice), cudaSuccess);
  set_dry_run({});
  EXPECT_EQ(data.to_host(), (std::vector<float>{1, 2, 3}));
  ASSERT_EQ(told.size(), 3u);
  EXPECT_EQ(told[0].first, Work::Kind::Kernel);
  EXPECT_EQ(told[1], std::pair(Work::Kind::Fill, std::string("cudaMemsetAsync")));
  EXPECT_EQ(told[2], std::pair(Work::Kind::Copy, std::string("cudaMemcpyAsync")));
  sample::add(data.data(), 3, 5);
  EXPECT_EQ(data.to_host(), (std::vector<float>{6, 7, 8}));
}

TEST_F(MockRuntime, ReportsALeakedAllocation) {
  const auto before = counters();
  const auto live_before = describe_live();
  float* leaked = nullptr;
  ASSERT_EQ(cudaMalloc(&leaked, 12345), cudaSuccess);
  EXPECT_EQ(counters().device_allocations, before.device_allocations + 1);
  EXPECT_EQ(counters().device_bytes, before.device_bytes + 12345);
  EXPECT_THAT(describe_live(), HasSubstr("12345 bytes"));
  ASSERT_EQ(cudaFree(leaked), cudaSuccess);
  EXPECT_EQ(describe_live(), live_before);
}

TEST_F(MockRuntime, RefusesToFreeWhatIsNotAllocated) {
  float* memory = nullptr;
  float local = 0;
  ASSERT_EQ(cudaMalloc(&memory, 64), cudaSuccess);
  EXPECT_THROW(cudaFree(&local), ApiMisuse);
  EXPECT_THROW(cudaFree(memory + 1), ApiMisuse);
  EXPECT_THROW(cudaFreeHost(memory), ApiMisuse);
  EXPECT_EQ(cudaFree(memory), cudaSuccess);
  EXPECT_THROW(cudaFree(memory), ApiMisuse);
  EXPECT_EQ(cudaFree(nullptr), cudaSuccess);
}

TEST_F(MockRuntime, RefusesToCopyPastAnAllocation) {
  const DeviceBuffer<char> device(100), other(100);
  std::vector<char> host(200);
  EXPECT_THROW(cudaMemcpyAsync(host.data(), device.data(), 101, cudaMemcpyDefault), ApiMisuse);
  EXPECT_THROW(cudaMemcpyAsync(device.data() + 50, host.data(), 51, cudaMemcpyDefault), ApiMisuse);
  EXPECT_THROW(cudaMemcpyAsync(device.data(), device.data() + 10, 20, cudaMemcpyDefault), ApiMisuse);
  EXPECT_THROW(cudaMemsetAsync(device.data(), 0, 101), ApiMisuse);
  EXPECT_THROW(cudaMemcpy2DAsync(device.data(), 30, host.data(), 30, 20, 4, cudaMemcpyDefault), ApiMisuse);
  EXPECT_EQ(cudaMemcpyAsync(device.data(), host.data(), 100, cudaMemcpyDefault), cudaSuccess);
  EXPECT_EQ(cudaMemcpyAsync(device.data(), other.data(), 100, cudaMemcpyDeviceToDevice), cudaSuccess);
  EXPECT_EQ(cudaMemcpyAsync(device.data(), other.data(), 100, cudaMemcpyHostToDevice), cudaErrorInvalidValue);
  EXPECT_EQ(cudaMemcpyAsync(host.data(), other.data(), 100, cudaMemcpyDeviceToDevice), cudaErrorInvalidValue);
  EXPECT_EQ(cudaMemsetAsync(host.data(), 0, 10), cudaErrorInvalidValue);
}

TEST_F(MockRuntime, CopiesRows) {
  std::vector<int> host(12);
  for (int i = 0; i < 12; ++i) host[std::size_t(i)] = i;
  const DeviceBuffer<int> device(std::vector<int>(12, -1));
  ASSERT_EQ(cudaMemcpy2DAsync(device.data(), 4 * sizeof(int), host.data(), 3 * sizeof(int), 2 * sizeof(int),
                              3, cudaMemcpyDefault),
            cudaSuccess);
  EXPECT_THAT(device.to_host(), testing::ElementsAre(0, 1, -1, -1, 3, 4, -1, -1, 6, 7, -1, -1));
  EXPECT_EQ(cudaMemcpy2DAsync(device.data(), 4, host.data(), 12, 8, 1, cudaMemcpyDefault),
            cudaErrorInvalidPitchValue);
}

TEST_F(MockRuntime, TellsWhereAPointerPoints) {
  const DeviceBuffer<float> device(4);
  float* pinned = nullptr;
  float local = 0;
  ASSERT_EQ(cudaHostAlloc(reinterpret_cast<void**>(&pinned), 16, cudaHostAllocPortable), cudaSuccess);
  EXPECT_EQ(counters().pinned_allocations, 1u);
  cudaPointerAttributes attributes{};
  EXPECT_EQ(cudaPointerGetAttributes(&attributes, device.data() + 1), cudaSuccess);
  EXPECT_EQ(attributes.type, cudaMemoryTypeDevice);
  EXPECT_EQ(cudaPointerGetAttributes(&attributes, pinned), cudaSuccess);
  EXPECT_EQ(attributes.type, cudaMemoryTypeHost);
  EXPECT_EQ(cudaPointerGetAttributes(&attributes, &local), cudaSuccess);
  EXPECT_EQ(attributes.type, cudaMemoryTypeUnregistered);
  EXPECT_EQ(cudaFreeHost(pinned), cudaSuccess);
}

TEST_F(MockRuntime, RunsOutOfMemory) {
  DeviceModel model;
  model.memory = 1000;
  set_device_model(model);
  void *first = nullptr, *second = nullptr;
  EXPECT_EQ(cudaMalloc(&first, 600), cudaSuccess);
  EXPECT_EQ(cudaMalloc(&second, 600), cudaErrorMemoryAllocation);
  EXPECT_EQ(cudaPeekAtLastError(), cudaErrorMemoryAllocation);
  EXPECT_EQ(cudaGetLastError(), cudaErrorMemoryAllocation);
  EXPECT_EQ(cudaGetLastError(), cudaSuccess);
  std::size_t free_bytes = 0, total_bytes = 0;
  EXPECT_EQ(cudaMemGetInfo(&free_bytes, &total_bytes), cudaSuccess);
  EXPECT_EQ(free_bytes, 400u);
  EXPECT_EQ(total_bytes, 1000u);
  EXPECT_EQ(cudaFree(first), cudaSuccess);
  EXPECT_EQ(cudaMalloc(&second, 600), cudaSuccess);
  EXPECT_EQ(cudaFree(second), cudaSuccess);
}

TEST_F(MockRuntime, FailsTheNthCall) {
  int device = 0;
  fail_call(2);
  EXPECT_EQ(cudaGetDevice(&device), cudaSuccess);
  EXPECT_EQ(cudaGetDevice(&device), cudaErrorUnknown);
  EXPECT_EQ(cudaGetDevice(&device), cudaSuccess);
}

TEST_F(MockRuntime, FailsTheNthAllocation) {
  int device = 0;
  void* memory = nullptr;
  fail_allocation(1);
  EXPECT_EQ(cudaGetDevice(&device), cudaSuccess);
  EXPECT_EQ(cudaMalloc(&memory, 16), cudaErrorMemoryAllocation);
  EXPECT_EQ(cudaMalloc(&memory, 16), cudaSuccess);
  EXPECT_EQ(cudaFree(memory), cudaSuccess);
}

TEST_F(MockRuntime, KeepsAStickyError) {
  const DeviceBuffer<float> data(4);
  fail_call(1, cudaErrorIllegalAddress, /*sticky=*/true);
  EXPECT_EQ(cudaDeviceSynchronize(), cudaErrorIllegalAddress);
  EXPECT_EQ(cudaGetLastError(), cudaErrorIllegalAddress);
  EXPECT_EQ(cudaGetLastError(), cudaErrorIllegalAddress);
  EXPECT_EQ(cudaMemset(data.data(), 0, 4), cudaErrorIllegalAddress);
  reset();
  EXPECT_EQ(cudaMemset(data.data(), 0, 4), cudaSuccess);
}

TEST_F(MockRuntime, KeepsStreamsAndEvents) {
  const auto before = counters();
  cudaStream_t stream = nullptr;
  cudaEvent_t start = nullptr, end = nullptr, untimed = nullptr;
  ASSERT_EQ(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), cudaSuccess);
  ASSERT_EQ(cudaEventCreate(&start), cudaSuccess);
  ASSERT_EQ(cudaEventCreate(&end), cudaSuccess);
  ASSERT_EQ(cudaEventCreateWithFlags(&untimed, cudaEventDisableTiming), cudaSuccess);
  EXPECT_EQ(counters().streams, before.streams + 1);
  EXPECT_EQ(counters().events, before.events + 3);

  const DeviceBuffer<float> in(std::vector<float>(64, 1.0f)), out(1);
  float milliseconds = -1;
  EXPECT_EQ(cudaEventRecord(start, stream), cudaSuccess);
  sample::block_sums(out.data(), in.data(), 1, 64, stream);
  EXPECT_EQ(cudaEventElapsedTime(&milliseconds, start, end), cudaErrorInvalidResourceHandle);
  EXPECT_EQ(cudaEventRecord(end, stream), cudaSuccess);
  EXPECT_EQ(cudaEventRecord(untimed, stream), cudaSuccess);
  EXPECT_EQ(cudaStreamWaitEvent(stream, end), cudaSuccess);
  EXPECT_EQ(cudaEventQuery(end), cudaSuccess);
  EXPECT_EQ(cudaEventElapsedTime(&milliseconds, start, end), cudaSuccess);
  EXPECT_GE(milliseconds, 0.0f);
  EXPECT_EQ(cudaEventElapsedTime(&milliseconds, start, untimed), cudaErrorInvalidResourceHandle);
  EXPECT_EQ(out.to_host()[0], 64.0f);

  for (const auto event : {start, end, untimed}) EXPECT_EQ(cudaEventDestroy(event), cudaSuccess);
  EXPECT_EQ(cudaStreamDestroy(stream), cudaSuccess);
  EXPECT_THROW(cudaStreamSynchronize(stream), ApiMisuse);
  EXPECT_THROW(cudaEventRecord(start), ApiMisuse);
  EXPECT_THROW(sample::block_sums(out.data(), in.data(), 1, 64, stream), ApiMisuse);
  EXPECT_EQ(counters().streams, before.streams);
  EXPECT_EQ(counters().events, before.events);
}

}  // namespace
}  // namespace dlcuda::hostcuda

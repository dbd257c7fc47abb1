#include "dlcuda/core/stream.h"

#include <gtest/gtest.h>

#include <thread>

#include "dlcuda/core/error.h"
#include "dlcuda/core/memory/caching_allocator.h"
#include "dlcuda/tests/support/devices.h"
#include "memory_fakes.h"

namespace dlcuda {
namespace {

// Guards and comparisons need no device: only work does.
const Device kCuda = Device::cuda(0);
Stream borrowed(std::uintptr_t id) { return Stream::borrow(kCuda, reinterpret_cast<void*>(id)); }

TEST(Stream, HandlesOfOneNativeStreamAreEqual) {
  EXPECT_EQ(borrowed(16), borrowed(16));
  EXPECT_FALSE(borrowed(16) == borrowed(32));
  EXPECT_EQ(Stream::borrow(kCuda, nullptr), Stream(kCuda)) << "the default stream";
  EXPECT_FALSE(Stream(kCuda) == Stream(Device::cuda(1)));
  EXPECT_THROW(Stream::borrow(Device::cpu(), reinterpret_cast<void*>(16)), DeviceError);
}

TEST(Stream, TheCpuHasOneStream) {
  const Stream stream = Stream::create(Device::cpu());
  EXPECT_EQ(stream, Stream());
  EXPECT_EQ(stream.native(), nullptr);
  stream.synchronize();
  const StreamGuard guard(stream);
  EXPECT_EQ(current_stream(Device::cpu()), Stream());
}

TEST(StreamGuard, NestsAndRestores) {
  EXPECT_EQ(current_stream(kCuda), Stream(kCuda));
  {
    const StreamGuard outer(borrowed(16));
    EXPECT_EQ(current_stream(kCuda), borrowed(16));
    {
      const StreamGuard inner(borrowed(32));
      EXPECT_EQ(current_stream(kCuda), borrowed(32));
      EXPECT_EQ(current_stream(Device::cuda(1)), Stream(Device::cuda(1))) << "each device has its own";
    }
    EXPECT_EQ(current_stream(kCuda), borrowed(16));
  }
  EXPECT_EQ(current_stream(kCuda), Stream(kCuda));
}

TEST(StreamGuard, CountsForItsThreadOnly) {
  const StreamGuard guard(borrowed(16));
  bool is_default = false;
  std::thread([&] { is_default = current_stream(kCuda) == Stream(kCuda); }).join();
  EXPECT_TRUE(is_default);
}

TEST(Stream, MissingDevices) {
  EXPECT_THROW(Stream::create(Device::cuda(cuda_probe().count)), DeviceError);
  EXPECT_THROW(current_stream(Device::cuda(-1)), DeviceError);
}

TEST(Event, OnTheCpuEverythingHasHappened) {
  Event start(Device::cpu(), true), end(Device::cpu(), true);
  EXPECT_TRUE(end.finished());
  start.record(Stream());
  end.record(Stream());
  end.synchronize();
  end.block(Stream());
  EXPECT_TRUE(end.finished());
  EXPECT_GE(end.elapsed_ms_since(start), 0.0f);
  EXPECT_THROW(end.elapsed_ms_since(Event(Device::cpu())), ArgumentError);
  EXPECT_THROW(start.record(Stream(kCuda)), DeviceError);
}

class CudaStream : public ::testing::Test {
 protected:
  void SetUp() override {
    const testing::CudaForTest cuda = testing::cuda_for_test();
    if (!cuda.available) GTEST_SKIP() << "no CUDA device: " << cuda.reason;
  }
};

TEST_F(CudaStream, GoesBackToThePool) {
  void* native = nullptr;
  {
    const Stream first = Stream::create(kCuda), second = Stream::create(kCuda);
    EXPECT_FALSE(first == second);
    EXPECT_NE(first.native(), nullptr);
    native = second.native();
  }  // second goes first
  const Stream third = Stream::create(kCuda), fourth = Stream::create(kCuda);
  EXPECT_EQ(fourth.native(), native);
}

TEST_F(CudaStream, CachedMemoryDoesNotHoldIt) {
  testing::FakeResource resource;
  CachingAllocator allocator(resource);
  void *native = nullptr, *block = nullptr;
  {
    const Stream stream = Stream::create(kCuda);
    native = stream.native();
    block = allocator.allocate(512, stream);
    allocator.deallocate(block);
  }
  const Stream stream = Stream::create(kCuda);
  EXPECT_EQ(stream.native(), native);
  EXPECT_EQ(allocator.allocate(512, stream), block);
}

TEST_F(CudaStream, EventsCompleteAndOrderStreams) {
  const Stream a = Stream::create(kCuda), b = Stream::create(kCuda);
  Event start(kCuda, true), end(kCuda, true);
  EXPECT_TRUE(start.finished()) << "nothing recorded";
  start.record(a);
  start.block(b);
  end.record(b);
  end.synchronize();
  EXPECT_TRUE(start.finished());
  EXPECT_TRUE(end.finished());
  EXPECT_GE(end.elapsed_ms_since(start), 0.0f);
  EXPECT_THROW(end.record(Stream()), DeviceError);
  a.synchronize();
  b.synchronize();
}

}  // namespace
}  // namespace dlcuda

#include "dlcuda/core/memory/storage.h"

#include <gtest/gtest.h>

#include <cstring>

#include "dlcuda/core/error.h"
#include "memory_fakes.h"

namespace dlcuda {
namespace {

using testing::fake_stream;
using testing::FakeEvents;
using testing::FakeResource;

TEST(Storage, AllocatesFromTheDevicesAllocator) {
  const auto before = allocator_for(Device::cpu()).stats().total;
  {
    const auto storage = Storage::allocate(1000, Device::cpu());
    ASSERT_NE(storage->data(), nullptr);
    std::memset(storage->data(), 7, 1000);
    EXPECT_EQ(storage->bytes(), 1000u);
    EXPECT_EQ(storage->device(), Device::cpu());
    EXPECT_FALSE(storage->borrowed());
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(storage->data()) % 256, 0u);
    EXPECT_EQ(allocator_for(Device::cpu()).stats().total.requested.current, before.requested.current + 1000);
  }
  EXPECT_EQ(allocator_for(Device::cpu()).stats().total.requested.current, before.requested.current);
}

TEST(Storage, ZeroBytes) {
  EXPECT_EQ(Storage::allocate(0, Device::cpu())->data(), nullptr);
  EXPECT_EQ(Storage::borrow(nullptr, 0, Device::cpu())->data(), nullptr);
}

TEST(Storage, PinnedMemoryIsTheCpus) {
  const auto storage = Storage::allocate(100, Device::cpu(), pinned_allocator());
  std::memset(storage->data(), 7, 100);
  EXPECT_EQ(storage->device(), Device::cpu());
}

TEST(Storage, CallsTheDeleterOnce) {
  char bytes[4];
  int calls = 0;
  {
    const auto storage = Storage::borrow(bytes, 4, Device::cpu(), [&](void* pointer) {
      EXPECT_EQ(pointer, bytes);
      ++calls;
    });
    const auto shared = storage;
    EXPECT_TRUE(storage->borrowed());
    EXPECT_EQ(storage->data(), bytes);
    storage->record_stream(fake_stream(1));
    EXPECT_EQ(calls, 0);
  }
  EXPECT_EQ(calls, 1);
  EXPECT_NO_THROW(Storage::borrow(bytes, 4, Device::cpu(), [](void*) { throw Error("a deleter fails"); }));
  EXPECT_NO_THROW(Storage::borrow(bytes, 4, Device::cpu()));
}

TEST(Storage, RefusesNothingAsBytes) {
  int calls = 0;
  EXPECT_THROW(Storage::borrow(nullptr, 4, Device::cpu(), [&](void*) { ++calls; }), ArgumentError);
  EXPECT_EQ(calls, 0);
}

TEST(Storage, CountsChanges) {
  const auto storage = Storage::allocate(4, Device::cpu());
  EXPECT_EQ(storage->version(), 0u);
  storage->bump_version();
  storage->bump_version();
  EXPECT_EQ(storage->version(), 2u);
}

TEST(Storage, FollowsTheCurrentStreamAndDefers) {
  FakeResource resource;
  FakeEvents events;
  CachingAllocator allocator(resource, {}, &events);
  const StreamGuard guard(fake_stream(1));
  auto first = Storage::allocate(512, Device::cuda(0), allocator);
  void* const data = first->data();
  first->record_stream(fake_stream(1));
  first.reset();
  EXPECT_TRUE(events.pending.empty()) << "its own stream";
  first = Storage::allocate(512, Device::cuda(0), allocator);
  EXPECT_EQ(first->data(), data);
  first->record_stream(fake_stream(2));
  first.reset();
  EXPECT_EQ(events.pending.size(), 1u);
  EXPECT_NE(Storage::allocate(512, Device::cuda(0), allocator)->data(), data);
}

TEST(Storage, AFailedAllocationLeavesNothing) {
  FakeResource resource(0);
  CachingAllocator allocator(resource);
  EXPECT_THROW(Storage::allocate(512, Device::cpu(), allocator), OutOfMemoryError);
  EXPECT_EQ(allocator.stats().total.active.current, 0u);
}

}  // namespace
}  // namespace dlcuda

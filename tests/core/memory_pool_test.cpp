#include "dlcuda/core/memory/pool.h"

#include <gtest/gtest.h>

#include <optional>

#include "dlcuda/core/error.h"
#include "memory_fakes.h"

namespace dlcuda {
namespace {

using testing::fake_stream;
using testing::FakeEvents;
using testing::FakeResource;
using testing::kMiB;

class MemoryPoolTest : public ::testing::Test {
 protected:
  void* take(std::size_t bytes) { return allocator.allocate(bytes, stream); }
  void* take(std::size_t bytes, const MemoryPool& from) {
    const MemoryPoolScope scope(from, stream);
    return take(bytes);
  }
  std::size_t reserved() const { return allocator.stats().total.reserved.current; }

  FakeResource resource;
  FakeEvents events;
  Stream stream = fake_stream(1), other = fake_stream(2);
  CachingAllocator allocator{resource, {}, &events};
};

TEST_F(MemoryPoolTest, SharesNothingWithTheRest) {
  allocator.deallocate(take(4 * kMiB));
  const MemoryPool pool(allocator), second(allocator);
  void* const mine = take(4 * kMiB, pool);
  EXPECT_EQ(pool.reserved(), 20 * kMiB) << "what is cached outside does not serve a pool";
  allocator.deallocate(mine);
  EXPECT_NE(take(4 * kMiB), mine);
  EXPECT_NE(take(4 * kMiB, second), mine);
  EXPECT_EQ(take(4 * kMiB, pool), mine) << "what is freed in a pool serves it again";
}

TEST_F(MemoryPoolTest, OnlyTheScopesThreadAndAllocatorUseIt) {
  FakeResource another_resource;
  CachingAllocator another(another_resource, {}, &events);
  const MemoryPool pool(allocator);
  const MemoryPoolScope scope(pool, stream);
  another.deallocate(another.allocate(kMiB, stream));
  EXPECT_EQ(pool.reserved(), 0u);
  {
    const MemoryPool inner(allocator);
    const MemoryPoolScope innermost(inner, stream);
    allocator.deallocate(take(kMiB));
    EXPECT_EQ(inner.reserved(), 2 * kMiB);
  }
  EXPECT_EQ(pool.reserved(), 0u);
  take(kMiB);
  EXPECT_EQ(pool.reserved(), 2 * kMiB);
}

TEST_F(MemoryPoolTest, MemoryBelongsToTheStreamOfTheScope) {
  const MemoryPool pool(allocator);
  const MemoryPoolScope scope(pool, other);
  void* const mine = take(kMiB);
  allocator.record_stream(mine, other);
  allocator.deallocate(mine);
  EXPECT_EQ(events.live, 0) << "its own stream needs no event";
  EXPECT_EQ(take(kMiB), mine);
}

TEST_F(MemoryPoolTest, AFlushLeavesItWhole) {
  const MemoryPool pool(allocator);
  void* const mine = take(12 * kMiB, pool);
  allocator.deallocate(mine);
  allocator.deallocate(take(12 * kMiB));
  EXPECT_EQ(reserved(), 24 * kMiB);
  allocator.empty_cache();
  EXPECT_EQ(reserved(), 12 * kMiB);
  EXPECT_EQ(take(12 * kMiB, pool), mine);
}

TEST_F(MemoryPoolTest, MemoryRunsOutBeforeAPoolIsTouched) {
  std::optional<MemoryPool> pool(std::in_place, allocator);
  allocator.deallocate(take(30 * kMiB, *pool));
  allocator.set_limit(40 * kMiB);
  EXPECT_THROW(take(20 * kMiB), OutOfMemoryError);
  EXPECT_EQ(pool->reserved(), 30 * kMiB);
  pool.reset();
  EXPECT_NE(take(20 * kMiB), nullptr);
}

TEST_F(MemoryPoolTest, AtItsEndItsMemoryServesTheRest) {
  for (const bool shared_arena_first : {false, true}) {
    SCOPED_TRACE(shared_arena_first);
    if (shared_arena_first) take(kMiB);
    std::optional<MemoryPool> pool(std::in_place, allocator);
    void* const held = take(4 * kMiB, *pool);
    void* const freed = take(14 * kMiB, *pool);
    allocator.deallocate(freed);
    pool.reset();
    EXPECT_EQ(take(14 * kMiB), freed);
    allocator.deallocate(held);
    EXPECT_EQ(take(4 * kMiB), held) << "what was held followed when it was freed";
    allocator.deallocate(held);
    allocator.deallocate(freed);
    allocator.empty_cache();
    EXPECT_EQ(reserved(), shared_arena_first ? 2 * kMiB : 0);
  }
}

TEST_F(MemoryPoolTest, AsksForNoEvents) {
  void* const lent = take(kMiB);
  allocator.record_stream(lent, other);
  allocator.deallocate(lent);
  events.queries = 0;
  const MemoryPool pool(allocator);
  take(kMiB, pool);
  EXPECT_EQ(events.queries, 0) << "a stream that is being recorded may not be asked";
  take(kMiB);
  EXPECT_EQ(events.queries, 1);
}

TEST(MemoryPool, KeepsMemoryWhereTheAllocatorPassesRequestsThrough) {
  FakeResource resource;
  CachingAllocator allocator(resource, {.pass_through = true});
  const Stream stream = fake_stream(1);
  {
    const MemoryPool pool(allocator);
    const MemoryPoolScope scope(pool, stream);
    void* const mine = allocator.allocate(4 * kMiB, stream);
    allocator.deallocate(mine);
    EXPECT_EQ(allocator.allocate(4 * kMiB, stream), mine);
    allocator.deallocate(mine);
  }
  EXPECT_EQ(allocator.stats().total.reserved.current, 0u);
}

}  // namespace
}  // namespace dlcuda

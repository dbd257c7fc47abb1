#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>

#include "allocator_fixture.h"
#include "dlcuda/core/error.h"

namespace dlcuda {
namespace {

using ::testing::ElementsAre;
using testing::FakeResource;
using ::testing::HasSubstr;
using testing::kMiB;

class OutOfMemoryTest : public CachingAllocatorTest {
 protected:
  FakeResource little{50 * kMiB};
  CachingAllocator scarce{little, {}, &events};
};

TEST_F(OutOfMemoryTest, FlushesTheCacheAndTriesOnceMore) {
  void* a = scarce.allocate(20 * kMiB, other);
  scarce.deallocate(a);
  void* b = scarce.allocate(40 * kMiB, stream);
  EXPECT_NE(b, nullptr);
  EXPECT_THAT(little.sizes, ElementsAre(20 * kMiB, 40 * kMiB, 40 * kMiB));
  EXPECT_EQ(scarce.stats().flushes, 1u);
  EXPECT_EQ(scarce.stats().out_of_memory, 0u);
  EXPECT_EQ(scarce.stats().total.reserved.current, 40 * kMiB);
}

TEST_F(OutOfMemoryTest, WhereWhatIsJoinedIsRefusedTheRequestAloneIsTried) {
  void* a = take(12 * kMiB);
  void* b = take(18 * kMiB);
  give(a);
  give(b);
  allocator.set_limit(28 * kMiB);
  EXPECT_NE(take(26 * kMiB), nullptr);
  EXPECT_THAT(resource.sizes, ElementsAre(12 * kMiB, 18 * kMiB, 26 * kMiB));
}

TEST_F(OutOfMemoryTest, AsksForNoMoreThanNeededTheSecondTime) {
  scarce.allocate(40 * kMiB, stream);
  EXPECT_NE(scarce.allocate(5 * kMiB, stream), nullptr);
  EXPECT_THAT(little.sizes, ElementsAre(40 * kMiB, 20 * kMiB, 6 * kMiB));
}

TEST_F(OutOfMemoryTest, WaitsForDeferredBlocksRatherThanFail) {
  void* a = scarce.allocate(40 * kMiB, stream);
  scarce.record_stream(a, other);
  scarce.deallocate(a);
  EXPECT_EQ(scarce.allocate(40 * kMiB, stream), a);
  EXPECT_EQ(events.synchronized, 1);
  EXPECT_EQ(scarce.stats().flushes, 0u);
}

TEST_F(OutOfMemoryTest, TheErrorNamesTheHoldersAndTheNextCallWorks) {
  std::vector<void*> held;
  for (int i = 1; i <= 6; ++i) {
    const MemoryTagScope scope("layer" + std::to_string(i));
    held.push_back(scarce.allocate(std::size_t(i) * kMiB + kMiB, stream));
  }
  const MemoryTagScope scope("head");
  MemoryStats before = scarce.stats();
  try {
    scarce.allocate(45 * kMiB, stream);
    FAIL() << "45 MiB were granted";
  } catch (const OutOfMemoryError& error) {
    EXPECT_EQ(error.requested_bytes(), 45 * kMiB);
    const std::string message = error.what();
    EXPECT_THAT(message, HasSubstr("fake"));
    EXPECT_THAT(message, HasSubstr("head asked for 45.00 MiB"));
    EXPECT_THAT(message, HasSubstr("Free there: 10.00 MiB"));
    EXPECT_THAT(message, HasSubstr("active 27.00 MiB"));
    EXPECT_THAT(message, HasSubstr("cached 13.00 MiB"));
    EXPECT_THAT(message,
                HasSubstr("Held by: layer6 7.00 MiB, layer5 6.00 MiB, layer4 5.00 MiB, layer3 4.00 MiB, "
                          "layer2 3.00 MiB. Try"));
  }
  ++before.flushes;
  ++before.out_of_memory;
  EXPECT_EQ(scarce.stats(), before) << "nothing else has changed";
  void* next = scarce.allocate(2 * kMiB, stream);
  EXPECT_NE(next, nullptr);
  scarce.deallocate(next);
  for (void* pointer : held) scarce.deallocate(pointer);
  scarce.empty_cache();
  EXPECT_EQ(little.used(), 0u);
  EXPECT_EQ(scarce.stats().total.active.current, 0u);
}

TEST_F(OutOfMemoryTest, TheLimitCountsAsExhaustion) {
  allocator.set_limit(30 * kMiB);
  void* a = take(20 * kMiB);
  EXPECT_THROW(take(12 * kMiB), OutOfMemoryError);
  EXPECT_THAT(resource.sizes, ElementsAre(20 * kMiB)) << "the resource is not asked";
  give(a);
  void* b = take(24 * kMiB);
  EXPECT_EQ(resource.used(), 24 * kMiB);
  allocator.set_limit(kMiB);  // below what is held
  EXPECT_THROW(take(kMiB), OutOfMemoryError);
  allocator.set_limit(26 * kMiB);
  EXPECT_NE(take(kMiB), nullptr);
  give(b);
}

TEST_F(OutOfMemoryTest, AResourceThatThrows) {
  void* a = take(20 * kMiB, other);
  give(a);
  const MemoryStats before = allocator.stats();
  resource.throw_next = FakeResource::Throw::Device;
  EXPECT_THROW(take(30 * kMiB), DeviceError);
  EXPECT_EQ(allocator.stats(), before) << "not exhaustion: the cache is kept";
  resource.throw_next = FakeResource::Throw::BadAlloc;
  EXPECT_THROW(take(30 * kMiB), OutOfMemoryError);
  resource.throw_next = FakeResource::Throw::Nothing;
  give(take(30 * kMiB));
  allocator.empty_cache();
  EXPECT_EQ(resource.used(), 0u);
}

// Blocks that are held never overlap, over random requests, two streams, deferral and flushes.
TEST_F(OutOfMemoryTest, RandomOperationsKeepBlocksApart) {
  std::mt19937 random(3);
  std::map<std::byte*, std::size_t> held;
  for (int i = 0; i < 20'000; ++i) {
    if (held.empty() || random() % 5 < 3) {
      const std::size_t bytes = random() % 4 != 0 ? 1 + random() % 20'000 : 1 + random() % (6 * kMiB);
      std::byte* pointer = nullptr;
      try {
        pointer = static_cast<std::byte*>(scarce.allocate(bytes, random() % 2 != 0 ? stream : other));
      } catch (const OutOfMemoryError&) {
        ASSERT_FALSE(held.empty());
        scarce.deallocate(held.begin()->first);
        held.erase(held.begin());
        continue;
      }
      const auto above = held.lower_bound(pointer);
      ASSERT_TRUE(above == held.end() || pointer + bytes <= above->first);
      ASSERT_TRUE(above == held.begin() || std::prev(above)->first + std::prev(above)->second <= pointer);
      held.emplace(pointer, bytes);
    } else {
      const auto victim = std::next(held.begin(), long(random() % held.size()));
      if (random() % 8 == 0) scarce.record_stream(victim->first, third);
      scarce.deallocate(victim->first);
      held.erase(victim);
    }
    if (random() % 50 == 0) events.complete(third);
    if (random() % 500 == 0) scarce.empty_cache();
  }
  EXPECT_GT(scarce.stats().flushes, 0u);
  for (const auto& [pointer, bytes] : held) scarce.deallocate(pointer);
  events.complete(third);
  scarce.empty_cache();
  EXPECT_EQ(little.used(), 0u);
  EXPECT_EQ(little.wrong_frees, 0);
  EXPECT_EQ(events.live, 0);
  EXPECT_EQ(scarce.stats().total.active.current, 0u);
  EXPECT_TRUE(scarce.tags().empty());
}

}  // namespace
}  // namespace dlcuda

#include "dlcuda/core/memory/caching_allocator.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <random>
#include <set>
#include <thread>

#include "allocator_fixture.h"
#include "dlcuda/core/error.h"
#include "dlcuda/core/memory/block.h"
#include "dlcuda/core/memory/pointer_table.h"
#include "dlcuda/core/memory/pool.h"

namespace dlcuda {
namespace {

using ::testing::ElementsAre;
using testing::fake_stream;
using testing::FakeEvents;
using testing::FakeResource;
using ::testing::HasSubstr;
using testing::kMiB;

TEST_F(CachingAllocatorTest, RoundsTo512Bytes) {
  void* first = take(1);
  EXPECT_EQ(take(512), after(first, 512));
  EXPECT_EQ(take(513), after(first, 1024));
  EXPECT_EQ(take(1), after(first, 2048));
  EXPECT_EQ(allocator.stats().total.active.current, 512u + 512 + 1024 + 512);
  EXPECT_EQ(allocator.stats().total.requested.current, 1u + 512 + 513 + 1);
}

TEST_F(CachingAllocatorTest, LadderOfSegments) {
  for (const std::size_t bytes : {std::size_t(1), kMiB + 1, 10 * kMiB - 511, 10 * kMiB + 1, 33 * kMiB}) {
    give(take(bytes));
    allocator.empty_cache();
  }
  EXPECT_THAT(resource.sizes, ElementsAre(2 * kMiB, 20 * kMiB, 10 * kMiB, 12 * kMiB, 34 * kMiB));
  take(kMiB);
  take(kMiB);
  EXPECT_EQ(resource.sizes.size(), 6u) << "two requests of 1 MiB fill one small segment";
  take(10 * kMiB - 512);
  EXPECT_EQ(resource.sizes.back(), 20 * kMiB);
}

TEST_F(CachingAllocatorTest, SmallAndLargeDoNotShareSegments) {
  give(take(20 * kMiB));
  take(512);
  EXPECT_THAT(resource.sizes, ElementsAre(20 * kMiB, 2 * kMiB));
  EXPECT_EQ(allocator.stats().small.reserved.current, 2 * kMiB);
  EXPECT_EQ(allocator.stats().large.reserved.current, 20 * kMiB);
}

TEST_F(CachingAllocatorTest, LargeRestsUpTo1MiBStayWithTheBlock) {
  void* whole = take(19 * kMiB);  // of 20 MiB: the rest is exactly 1 MiB
  EXPECT_EQ(allocator.stats().total.active.current, 20 * kMiB);
  give(whole);
  void* cut = take(19 * kMiB - 512);
  EXPECT_EQ(cut, whole);
  EXPECT_EQ(allocator.stats().total.active.current, 19 * kMiB - 512);
}

TEST_F(CachingAllocatorTest, SplitsAndMergesInBothDirections) {
  void* a = take(4 * kMiB);
  void* b = take(4 * kMiB);
  void* c = take(4 * kMiB);
  EXPECT_EQ(b, after(a, 4 * kMiB));
  EXPECT_EQ(c, after(b, 4 * kMiB));
  EXPECT_EQ(resource.sizes.size(), 1u);
  give(a);
  give(b);  // merges downwards
  EXPECT_EQ(take(8 * kMiB), a);
  give(a);
  give(c);  // merges with a + b below and the rest above
  EXPECT_EQ(take(18 * kMiB), a);
}

TEST_F(CachingAllocatorTest, MergesUpwardsOnly) {
  void* a = take(4 * kMiB);
  void* b = take(4 * kMiB);
  give(b);
  EXPECT_EQ(take(16 * kMiB), b);
  give(b);
  give(a);
  allocator.empty_cache();
  EXPECT_EQ(resource.used(), 0u);
}

TEST_F(CachingAllocatorTest, NeverMergesAcrossSegments) {
  void* a = take(20 * kMiB);
  void* b = take(20 * kMiB);
  ASSERT_EQ(b, after(a, 20 * kMiB)) << "the fake's segments must touch for this test to mean anything";
  give(a);
  give(b);
  take(30 * kMiB);
  EXPECT_EQ(resource.sizes.size(), 3u);
}

TEST_F(CachingAllocatorTest, JoinsSegmentsThatAreTooSmall) {
  std::vector<void*> held;
  for (int i = 0; i < 3; ++i) held.push_back(take(20 * kMiB));
  void* small = take(512);
  void* theirs = take(14 * kMiB, other);
  give(theirs);
  give(small);
  for (void* pointer : held) give(pointer);
  const std::size_t before = resource.used();
  void* joined = take(50 * kMiB);
  EXPECT_EQ(resource.sizes.back(), 60 * kMiB) << "what the three were, and nothing of the others";
  EXPECT_EQ(resource.used(), before);
  EXPECT_EQ(take(10 * kMiB), after(joined, 50 * kMiB)) << "the rest is there for others";
  EXPECT_EQ(allocator.stats().flushes, 0u);
}

TEST_F(CachingAllocatorTest, JoiningTakesNoMoreThanIsMissing) {
  void* held = take(20 * kMiB);
  void* free = take(20 * kMiB);
  give(free);
  take(30 * kMiB);
  EXPECT_THAT(resource.sizes, ElementsAre(20 * kMiB, 20 * kMiB, 30 * kMiB));
  EXPECT_EQ(resource.used(), 50 * kMiB) << "the free one is gone, the held one stays";
  give(held);
}

TEST_F(CachingAllocatorTest, PrivatePoolsKeepTheirSegmentsWhenTheyGrow) {
  const MemoryPool pool(allocator);
  const MemoryPoolScope scope(pool, stream);
  give(take(20 * kMiB));
  take(30 * kMiB);
  EXPECT_EQ(pool.reserved(), 50 * kMiB);
}

TEST_F(CachingAllocatorTest, TakesTheSmallestBlockThatFits) {
  void* big = take(30 * kMiB);
  void* middle = take(16 * kMiB);
  void* little = take(12 * kMiB);
  give(middle);
  give(big);
  give(little);
  EXPECT_EQ(take(14 * kMiB), middle);
  EXPECT_EQ(take(14 * kMiB), big);
  EXPECT_EQ(take(11 * kMiB + 512), little);
}

TEST_F(CachingAllocatorTest, ReusesOnlyWithinTheStream) {
  void* mine = take(4096);
  give(mine);
  void* theirs = take(4096, other);
  EXPECT_NE(theirs, mine);
  EXPECT_EQ(take(4096), mine);
  give(theirs);
  EXPECT_EQ(take(4096, fake_stream(2)), theirs) << "another handle of the same native stream";
}

TEST_F(CachingAllocatorTest, RecordStreamDefersUntilTheEvents) {
  void* block = take(4096);
  allocator.record_stream(block, other);
  allocator.record_stream(block, third);
  allocator.record_stream(block, other);     // twice is once
  allocator.record_stream(block, stream);    // its own
  allocator.record_stream(block, Stream());  // the CPU's
  allocator.record_stream(nullptr, other);
  EXPECT_EQ(events.pending.size(), 0u) << "the events mark the point of freeing";
  give(block);
  EXPECT_EQ(events.pending.size(), 2u);
  EXPECT_EQ(allocator.stats().deferred, 4096u);
  EXPECT_EQ(allocator.stats().total.active.current, 4096u);
  EXPECT_EQ(allocator.stats().total.requested.current, 0u);

  void* second = take(4096);
  EXPECT_NE(second, block);
  events.complete(other);
  void* also = take(4096);
  EXPECT_NE(also, block);
  give(second);
  give(also);
  events.complete(third);
  void* again = take(4096);
  EXPECT_EQ(allocator.stats().deferred, 0u);
  EXPECT_EQ(events.live, 0);
  give(again);
  EXPECT_EQ(take(kMiB), block) << "merged with its neighbours again";
  EXPECT_EQ(events.pending.size(), 0u) << "the next owner does not inherit the streams";
}

TEST_F(CachingAllocatorTest, DeferredBlocksDoNotMerge) {
  void* a = take(4 * kMiB);
  void* b = take(4 * kMiB);
  allocator.record_stream(a, other);
  give(a);
  give(b);
  EXPECT_EQ(take(8 * kMiB), b);
  allocator.empty_cache();
  EXPECT_EQ(resource.live(), 1u);
}

TEST_F(CachingAllocatorTest, AsksABusyStreamOnce) {
  std::vector<void*> blocks;
  for (int i = 0; i < 100; ++i) blocks.push_back(take(512));
  for (void* block : blocks) {
    allocator.record_stream(block, other);
    give(block);
  }
  take(512);
  EXPECT_EQ(events.queries, 1);
  events.complete(other);
  take(512);
  EXPECT_EQ(events.live, 0);
  EXPECT_EQ(allocator.stats().total.active.current, 1024u);
}

TEST_F(CachingAllocatorTest, AFailingEventStillFrees) {
  void* block = take(4096);
  allocator.record_stream(block, Stream(Device::cuda(63)));
  events.fail_recording = true;
  give(block);  // waits for the stream instead; that device is missing too, so nothing can run on it
  EXPECT_EQ(allocator.stats().deferred, 0u);
  EXPECT_EQ(take(4096), block);
  events.fail_recording = false;
  give(block);
  EXPECT_EQ(allocator.stats().deferred, 0u) << "the next owner does not inherit the stream";
}

TEST_F(CachingAllocatorTest, ALostDeviceIsReportedAndNothingIsReused) {
  void* block = take(4096);
  allocator.record_stream(block, other);
  give(block);
  events.fail_queries = true;
  const MemoryStats before = allocator.stats();
  EXPECT_THROW(take(4096), DeviceError);
  EXPECT_EQ(allocator.stats(), before);
  events.fail_queries = false;
  EXPECT_NE(take(4096), block);
}

TEST_F(CachingAllocatorTest, ZeroBytes) {
  EXPECT_EQ(take(0), nullptr);
  give(nullptr);
  EXPECT_EQ(allocator.stats(), MemoryStats());
  EXPECT_TRUE(resource.sizes.empty());
}

TEST_F(CachingAllocatorTest, HugeRequestsThrowInsteadOfOverflowing) {
  constexpr std::size_t kMost = std::numeric_limits<std::size_t>::max();
  for (const std::size_t bytes :
       {kMost, kMost - 511, kMost - 2 * kMiB + 1, kMost / 2 + 1, std::size_t(1) << 48}) {
    try {
      take(bytes);
      FAIL() << bytes << " bytes were granted";
    } catch (const OutOfMemoryError& error) {
      EXPECT_EQ(error.requested_bytes(), bytes);
    }
  }
  EXPECT_TRUE(resource.sizes.empty()) << "no resource has to cope with such a size";
  EXPECT_NE(take(512), nullptr);
}

TEST_F(CachingAllocatorTest, ExactStats) {
  void* a = take(1000);
  void* b = take(3 * kMiB);
  give(a);
  a = take(600);
  MemoryStats stats = allocator.stats();
  EXPECT_EQ(stats.small.requested, (MemoryCounter{600, 1000, 1600, 1000}));
  EXPECT_EQ(stats.small.active, (MemoryCounter{1024, 1024, 2048, 1024}));
  EXPECT_EQ(stats.small.blocks, (MemoryCounter{1, 1, 2, 1}));
  EXPECT_EQ(stats.small.reserved, (MemoryCounter{2 * kMiB, 2 * kMiB, 2 * kMiB, 0}));
  EXPECT_EQ(stats.large.active, (MemoryCounter{3 * kMiB, 3 * kMiB, 3 * kMiB, 0}));
  EXPECT_EQ(stats.large.reserved, (MemoryCounter{20 * kMiB, 20 * kMiB, 20 * kMiB, 0}));
  EXPECT_EQ(stats.total.blocks, (MemoryCounter{2, 2, 3, 1}));
  EXPECT_EQ(stats.total.segments, (MemoryCounter{2, 2, 2, 0}));
  EXPECT_EQ(stats.total.cached(), 22 * kMiB - 1024 - 3 * kMiB);
  give(a);
  give(b);
  allocator.empty_cache();
  stats = allocator.stats();
  EXPECT_EQ(stats.total.active, (MemoryCounter{0, 3 * kMiB + 1024, 3 * kMiB + 2048, 3 * kMiB + 2048}));
  EXPECT_EQ(stats.total.reserved, (MemoryCounter{0, 22 * kMiB, 22 * kMiB, 22 * kMiB}));
  EXPECT_EQ(stats.total.segments, (MemoryCounter{0, 2, 2, 2}));
  allocator.reset_peaks();
  EXPECT_EQ(allocator.stats().total.reserved.peak, 0u);
  EXPECT_EQ(allocator.stats().small.active.peak, 0u);
}

TEST_F(CachingAllocatorTest, ASteadyStateTakesNothingFromTheResource) {
  const auto step = [&] {
    std::vector<void*> held;
    for (std::size_t i = 1; i < 40; ++i) held.push_back(take(i * i * 10'000));
    for (void* pointer : held) give(pointer);
  };
  // The first step's segments come as they are asked for; once all are free, best fit deals them out anew.
  for (int i = 0; i < 4; ++i) step();
  const std::size_t calls = resource.sizes.size();
  for (int i = 0; i < 5; ++i) step();
  EXPECT_EQ(resource.sizes.size(), calls);
}

TEST_F(CachingAllocatorTest, TagsFollowTheScopes) {
  void* plain = take(512);
  {
    const MemoryTagScope outer("conv1");
    take(2048);
    {
      const MemoryTagScope inner("bn1");
      take(1024);
    }
    take(2048);
  }
  EXPECT_THAT(allocator.tags(), ElementsAre(MemoryTagUse{"conv1", 4096}, MemoryTagUse{"bn1", 1024},
                                            MemoryTagUse{"(untagged)", 512}));
  give(plain);
  EXPECT_EQ(allocator.tags().size(), 2u);
  EXPECT_EQ(MemoryTag("conv1"), MemoryTag(std::string("conv") + "1"));
  EXPECT_EQ(current_memory_tag(), MemoryTag());
}

TEST_F(CachingAllocatorTest, SnapshotCoversEverySegment) {
  const MemoryTagScope scope("fc \"quoted\"");
  void* a = take(700);
  void* b = take(512);
  take(4 * kMiB, other);
  allocator.record_stream(b, other);
  give(b);
  const auto snapshot = nlohmann::json::parse(allocator.snapshot());
  EXPECT_EQ(snapshot["resource"], "fake");
  EXPECT_FALSE(snapshot.contains("limit"));
  ASSERT_EQ(snapshot["segments"].size(), 2u);
  for (const auto& segment : snapshot["segments"]) {
    std::size_t end = 0;
    for (const auto& block : segment["blocks"]) {
      EXPECT_EQ(block["offset"], end);
      end += block["bytes"].get<std::size_t>();
    }
    EXPECT_EQ(segment["bytes"], end);
  }
  const auto& small = snapshot["segments"][1];
  EXPECT_EQ(small["pool"], "small");
  EXPECT_EQ(small["blocks"][0]["requested"], 700);
  EXPECT_EQ(small["blocks"][0]["tag"], "fc \"quoted\"");
  EXPECT_EQ(small["blocks"][1]["state"], "deferred");
  EXPECT_EQ(small["blocks"][2]["state"], "free");
  give(a);
}

TEST_F(CachingAllocatorTest, ForeignPointersAreRefused) {
  void* pointer = take(512);
  EXPECT_THROW(allocator.record_stream(after(pointer, 512), other), ArgumentError);
  give(pointer);
  EXPECT_THROW(allocator.record_stream(pointer, other), ArgumentError);
  EXPECT_DEATH(give(pointer), "freed twice");
}

TEST(CachingAllocator, GivesEverythingBackAtItsEnd) {
  FakeResource resource;
  FakeEvents events;
  const Stream stream = fake_stream(1);
  {
    CachingAllocator allocator(resource, {}, &events);
    void* deferred = allocator.allocate(512, stream);
    allocator.record_stream(deferred, fake_stream(2));
    allocator.deallocate(deferred);
    allocator.deallocate(allocator.allocate(30 * kMiB, stream));
    allocator.allocate(5 * kMiB, stream);  // still held
  }
  EXPECT_EQ(resource.live(), 0u);
  EXPECT_EQ(resource.wrong_frees, 0);
  EXPECT_EQ(events.live, 0);
}

TEST(PassThrough, ExactSizesAndNoCache) {
  FakeResource resource;
  FakeEvents events;
  const Stream stream = fake_stream(1), other = fake_stream(2);
  CachingAllocator allocator(resource, {.pass_through = true}, &events);
  EXPECT_TRUE(allocator.pass_through());
  void* a = allocator.allocate(7, stream);
  void* b = allocator.allocate(10 * kMiB + 1, stream);
  EXPECT_THAT(resource.sizes, ElementsAre(7, 10 * kMiB + 1));
  EXPECT_EQ(allocator.stats().total.active.current, 10 * kMiB + 8);
  allocator.deallocate(a);
  EXPECT_EQ(resource.used(), 10 * kMiB + 1);
  allocator.record_stream(b, other);
  allocator.deallocate(b);
  EXPECT_EQ(resource.live(), 1u) << "another stream may still use it";
  events.complete(other);
  allocator.deallocate(allocator.allocate(1, stream));
  EXPECT_EQ(resource.live(), 0u);
  EXPECT_EQ(allocator.stats().total.reserved.current, 0u);
  EXPECT_EQ(resource.wrong_frees, 0);
}

TEST_F(CachingAllocatorTest, SeveralThreads) {
  std::vector<std::thread> threads;
  for (unsigned id = 0; id < 4; ++id) {
    threads.emplace_back([&, id] {
      const MemoryTagScope scope("thread " + std::to_string(id));
      std::mt19937 random(id);
      std::vector<void*> held;
      for (int i = 0; i < 5'000; ++i) {
        if (held.size() < 50 && random() % 2 == 0) {
          held.push_back(take(1 + random() % (2 * kMiB), id % 2 != 0 ? stream : other));
        } else if (!held.empty()) {
          std::swap(held[random() % held.size()], held.back());
          give(held.back());
          held.pop_back();
        }
      }
      for (void* pointer : held) give(pointer);
    });
  }
  for (auto& thread : threads) thread.join();
  const MemoryStats stats = allocator.stats();
  EXPECT_EQ(stats.total.active.current, 0u);
  EXPECT_EQ(stats.total.requested.allocated, stats.total.requested.freed);
  allocator.empty_cache();
  EXPECT_EQ(resource.used(), 0u);
  EXPECT_EQ(resource.wrong_frees, 0);
}

TEST(Allocators, OneForEachDevice) {
  EXPECT_EQ(&allocator_for(Device::cpu()), &allocator_for(Device::cpu()));
  EXPECT_NE(&allocator_for(Device::cpu()), &pinned_allocator());
  EXPECT_EQ(allocator_for(Device::cpu()).name(), "host");
  EXPECT_THROW(allocator_for(Device::cuda(63)), DeviceError);
  EXPECT_THROW(allocator_for(Device::cuda(64)), DeviceError);
  EXPECT_THROW(allocator_for(Device::cuda(-1)), DeviceError);
  EXPECT_THROW(set_memory_resource(Device::cpu(), host_memory()), ArgumentError) << "it exists already";
  for (int i = 0; i < cuda_probe().count; ++i) EXPECT_NE(&allocator_for(Device::cuda(i)), nullptr);
}

TEST(Resources, HostMemoryIsAlignedAndWritable) {
  for (const std::size_t bytes : {std::size_t(1), std::size_t(257), 3 * kMiB + 1}) {
    auto* pointer = static_cast<unsigned char*>(host_memory().allocate(bytes));
    ASSERT_NE(pointer, nullptr);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(pointer) % 256, 0u);
    pointer[0] = 1;
    pointer[bytes - 1] = 2;
    host_memory().deallocate(pointer, bytes);
  }
  EXPECT_TRUE(host_memory().free_bytes().has_value());
  EXPECT_EQ(host_memory().allocate(std::size_t(1) << 46), nullptr);
  EXPECT_THROW(device_memory(cuda_probe().count), DeviceError);
  EXPECT_THROW(device_memory(-1), DeviceError);
}

TEST(Stats, FormatsBytes) {
  EXPECT_EQ(format_bytes(0), "0 B");
  EXPECT_EQ(format_bytes(1023), "1023 B");
  EXPECT_EQ(format_bytes(1536), "1.50 KiB");
  EXPECT_EQ(format_bytes(std::size_t(12) << 30), "12.00 GiB");
  EXPECT_EQ(format_bytes(std::numeric_limits<std::size_t>::max()), "16.00 EiB");
}

}  // namespace
}  // namespace dlcuda

#include "dlcuda/core/memory/trace.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "dlcuda/core/error.h"
#include "dlcuda/core/memory/caching_allocator.h"
#include "memory_fakes.h"

namespace dlcuda {
namespace {

using Kind = MemoryEvent::Kind;
using ::testing::ElementsAre;
using testing::fake_stream;
using testing::FakeEvents;
using testing::FakeResource;
using testing::kMiB;

class MemoryTraceTest : public ::testing::Test {
 protected:
  static std::vector<Kind> kinds(const MemoryTrace& trace) {
    std::vector<Kind> result;
    for (const MemoryEvent& event : trace.events) result.push_back(event.kind);
    return result;
  }

  FakeResource resource;
  FakeEvents events;
  Stream stream = fake_stream(1), other = fake_stream(2);
  CachingAllocator allocator{resource, {}, &events};
};

TEST_F(MemoryTraceTest, HoldsEveryEventInOrder) {
  const MemoryTagScope conv("conv1");
  void* before = allocator.allocate(700, stream);
  allocator.start_trace();
  void* a = allocator.allocate(3 * kMiB + 1, stream);
  allocator.deallocate(before);
  allocator.deallocate(a);
  allocator.empty_cache();
  const MemoryTrace trace = allocator.stop_trace();

  EXPECT_EQ(trace.resource, "fake");
  EXPECT_EQ(trace.reserved_at_start, 2 * kMiB);
  EXPECT_THAT(trace.held_at_start, ElementsAre(MemoryTagUse{"conv1", 1024}));
  EXPECT_EQ(trace.dropped, 0u);
  ASSERT_THAT(kinds(trace), ElementsAre(Kind::SegmentAcquire, Kind::Allocate, Kind::Free, Kind::Free,
                                        Kind::SegmentRelease, Kind::SegmentRelease));
  const MemoryEvent& segment = trace.events[0];
  EXPECT_EQ(segment.bytes, 20 * kMiB);
  EXPECT_FALSE(segment.small);
  const MemoryEvent& allocation = trace.events[1];
  EXPECT_EQ(allocation.requested, 3 * kMiB + 1);
  EXPECT_EQ(allocation.bytes, 3 * kMiB + 512);
  EXPECT_EQ(allocation.address, reinterpret_cast<std::uintptr_t>(a));
  EXPECT_EQ(allocation.stream, 1u);
  EXPECT_EQ(allocation.tag, MemoryTag("conv1").id());
  EXPECT_TRUE(trace.events[2].small);
  EXPECT_EQ(trace.events[2].requested, 700u);
  EXPECT_EQ(trace.events[3].address, allocation.address);
  for (std::size_t i = 1; i < trace.events.size(); ++i) {
    EXPECT_GE(trace.events[i].time_ns, trace.events[i - 1].time_ns);
  }
}

TEST_F(MemoryTraceTest, ADeferredBlockIsFreeOnlyAfterItsEvent) {
  void* block = allocator.allocate(512, stream);
  allocator.record_stream(block, other);
  allocator.start_trace();
  allocator.deallocate(block);
  events.complete(other);
  allocator.empty_cache();
  EXPECT_THAT(kinds(allocator.stop_trace()), ElementsAre(Kind::Defer, Kind::Free, Kind::SegmentRelease));
}

TEST_F(MemoryTraceTest, KeepsTheFirstEventsWhereThereIsNoRoom) {
  allocator.start_trace(3);
  for (int i = 0; i < 5; ++i) allocator.deallocate(allocator.allocate(512, stream));
  const MemoryTrace trace = allocator.stop_trace();
  EXPECT_THAT(kinds(trace), ElementsAre(Kind::SegmentAcquire, Kind::Allocate, Kind::Free));
  EXPECT_EQ(trace.dropped, 8u);
}

TEST_F(MemoryTraceTest, OneAtATime) {
  EXPECT_THROW(allocator.stop_trace(), Error);
  allocator.start_trace();
  EXPECT_THROW(allocator.start_trace(), Error);
  allocator.deallocate(allocator.allocate(512, stream));
  EXPECT_EQ(allocator.stop_trace().events.size(), 3u);
  allocator.deallocate(allocator.allocate(512, stream));
  allocator.start_trace();
  EXPECT_TRUE(allocator.stop_trace().events.empty()) << "each trace begins anew";
}

TEST_F(MemoryTraceTest, AsJson) {
  allocator.start_trace(2);
  {
    const MemoryTagScope scope("fc \"1\"");
    allocator.deallocate(allocator.allocate(700, stream));
  }
  const auto json = nlohmann::json::parse(to_json(allocator.stop_trace()));
  EXPECT_EQ(json["resource"], "fake");
  EXPECT_EQ(json["reserved_at_start"], 0);
  EXPECT_TRUE(json["held_at_start"].empty());
  EXPECT_EQ(json["dropped"], 1);
  ASSERT_EQ(json["events"].size(), 2u);
  EXPECT_EQ(json["events"][0]["event"], "segment_acquire");
  EXPECT_EQ(json["events"][0]["bytes"], 2 * kMiB);
  EXPECT_FALSE(json["events"][0].contains("tag"));
  EXPECT_EQ(json["events"][1]["event"], "allocate");
  EXPECT_EQ(json["events"][1]["address"], json["events"][0]["address"]);
  EXPECT_EQ(json["events"][1]["stream"], "0x1");
  EXPECT_EQ(json["events"][1]["requested"], 700);
  EXPECT_EQ(json["events"][1]["bytes"], 1024);
  EXPECT_EQ(json["events"][1]["pool"], "small");
  EXPECT_EQ(json["events"][1]["tag"], "fc \"1\"");
}

}  // namespace
}  // namespace dlcuda

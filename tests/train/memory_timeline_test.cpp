#include "dlcuda/train/memory_timeline.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <regex>
#include <set>
#include <string>
#include <vector>

#include "dlcuda/core/error.h"
#include "dlcuda/core/memory/caching_allocator.h"
#include "dlcuda/tests/support/temp_folder.h"
#include "dlcuda/tests/support/xml.h"

namespace dlcuda {
namespace {

using Kind = MemoryEvent::Kind;
using testing::HasSubstr;
using testing::Not;

constexpr std::size_t kMiB = std::size_t(1) << 20;

MemoryEvent event(Kind kind, const std::string& tag, std::size_t bytes) {
  return {.kind = kind, .tag = MemoryTag(tag).id(), .requested = bytes, .bytes = bytes};
}

/// Layer i keeps i MiB from the forward pass on and has a gradient for a moment; "weights" lie below.
MemoryTrace training_step(int layers) {
  MemoryTrace trace;
  trace.reserved_at_start = 4 * kMiB;
  trace.held_at_start = {{"weights", 4 * kMiB}};
  std::size_t sum = 0;
  for (int i = 1; i <= layers; ++i) {
    sum += std::size_t(i) * kMiB;
    trace.events.push_back(event(Kind::SegmentAcquire, "(untagged)", std::size_t(i) * kMiB));
    trace.events.push_back(event(Kind::Allocate, "layer" + std::to_string(i), std::size_t(i) * kMiB));
  }
  for (int i = layers; i >= 1; --i) {
    trace.events.push_back(event(Kind::Allocate, "layer" + std::to_string(i), kMiB / 2));
    trace.events.push_back(event(Kind::Free, "layer" + std::to_string(i), std::size_t(i) * kMiB));
    trace.events.push_back(event(Kind::Free, "layer" + std::to_string(i), kMiB / 2));
  }
  for (std::size_t i = 0; i < trace.events.size(); ++i) trace.events[i].time_ns = 1000 * i;
  return trace;
}

/// The value that the legend gives a name, or nothing.
std::string in_legend(const std::string& svg, const std::string& name) {
  std::smatch match;
  const std::regex row(">" + name + R"(</text>\n<text[^>]*>([^<]*)<)");
  return std::regex_search(svg, match, row) ? match[1].str() : "";
}

std::string colour_of(const std::string& svg, const std::string& name) {
  std::smatch match;
  const std::regex area("<path fill=\"(#[0-9a-f]*)\"[^>]*><title>" + name + "<");
  return std::regex_search(svg, match, area) ? match[1].str() : "";
}

TEST(MemoryTimeline, AreasLegendPeakAndReserved) {
  const MemoryTrace trace = training_step(5);
  const std::string svg = draw_memory_timeline("<lenet> & co", trace);
  expect_well_formed(svg);
  EXPECT_THAT(svg, HasSubstr("&lt;lenet&gt; &amp; co"));
  EXPECT_THAT(svg, HasSubstr("prefers-color-scheme: dark"));
  EXPECT_EQ(count(svg, "<path fill"), 6u) << "weights and five layers";
  EXPECT_THAT(svg, HasSubstr(">peak 19.50 MiB<"));
  EXPECT_EQ(in_legend(svg, "weights"), "4.00 MiB");
  EXPECT_EQ(in_legend(svg, "layer3"), "3.00 MiB");
  EXPECT_EQ(in_legend(svg, "layer5"), "5.50 MiB");
  EXPECT_EQ(in_legend(svg, "active"), "19.50 MiB");
  EXPECT_EQ(in_legend(svg, "reserved"), "19.00 MiB");
  EXPECT_EQ(count(svg, "<path class=\"reserved\""), 1u);
  EXPECT_THAT(svg, HasSubstr(">20 MiB<"));
  EXPECT_THAT(svg, Not(HasSubstr("others")));
}

TEST(MemoryTimeline, WhatIsSteadyLiesBelow) {
  MemoryTrace trace = training_step(2);
  trace.held_at_start.push_back({"made later than the layers", kMiB});
  const std::string svg = draw_memory_timeline("", trace);
  EXPECT_LT(svg.find("<title>made later"), svg.find("<title>layer1"));
  EXPECT_LT(svg.find("<title>layer1"), svg.find("<title>layer2"));
}

TEST(MemoryTimeline, OfManyLayersTheLargestAreNamed) {
  const std::string svg = draw_memory_timeline("deep", training_step(60));
  expect_well_formed(svg);
  EXPECT_EQ(count(svg, "<path fill"), 13u);
  EXPECT_EQ(in_legend(svg, "layer60"), "60.50 MiB");
  EXPECT_EQ(in_legend(svg, "layer49"), "49.00 MiB");
  EXPECT_EQ(in_legend(svg, "layer48"), "");
  EXPECT_EQ(in_legend(svg, "49 others"), format_bytes((48 * 49 / 2 + 4) * kMiB));
  std::set<std::string> colours;
  for (int i = 49; i <= 60; ++i) colours.insert(colour_of(svg, "layer" + std::to_string(i)));
  EXPECT_EQ(colours.size(), 12u) << "each has its own";
}

TEST(MemoryTimeline, ANameKeepsItsColour) {
  const std::string five = draw_memory_timeline("", training_step(2));
  MemoryTrace other = training_step(2);
  other.held_at_start.clear();
  EXPECT_NE(colour_of(five, "layer2"), "");
  EXPECT_EQ(colour_of(five, "layer2"), colour_of(draw_memory_timeline("", other), "layer2"));
}

TEST(MemoryTimeline, ReservedFarAboveThePeakIsNotDrawn) {
  MemoryTrace trace = training_step(2);
  trace.reserved_at_start = 500 * kMiB;
  const std::string svg = draw_memory_timeline("", trace);
  EXPECT_EQ(count(svg, "<path class=\"reserved\""), 0u);
  EXPECT_EQ(in_legend(svg, "reserved \\(not drawn\\)"), "503.00 MiB");
}

TEST(MemoryTimeline, PhasesShareTheAxis) {
  const MemoryTrace trace = training_step(5);
  const auto at = [&](int event) { return trace.began + std::chrono::nanoseconds(1000 * event - 1); };
  const std::string svg =
      draw_memory_timeline("", trace, {{"forward", at(0)}, {"backward", at(10)}, {"update", at(25)}});
  EXPECT_THAT(svg, HasSubstr(">forward<"));
  EXPECT_THAT(svg, HasSubstr(">backward<"));
  EXPECT_THAT(svg, Not(HasSubstr(">update<"))) << "there is no room for its name";
}

TEST(MemoryTimeline, ATraceWithoutEventsAndOneThatIsCutShort) {
  MemoryTrace trace = training_step(0);
  std::string svg = draw_memory_timeline("", trace);
  expect_well_formed(svg);
  EXPECT_THAT(svg, HasSubstr(">peak 4.00 MiB<"));
  trace.held_at_start.clear();
  trace.dropped = 7;
  svg = draw_memory_timeline("", trace);
  expect_well_formed(svg);
  EXPECT_THAT(svg, HasSubstr(">peak 0 B<"));
  EXPECT_THAT(svg, HasSubstr("7 events are missing"));
}

TEST(MemoryTimeline, ThePictureStaysSmall) {
  MemoryTrace trace = training_step(1);
  for (int i = 0; i < 50'000; ++i) {
    trace.events.push_back(event(Kind::Allocate, "layer1", std::size_t(1 + i % 7) * kMiB));
    trace.events.push_back(event(Kind::Free, "layer1", std::size_t(1 + i % 7) * kMiB));
  }
  const std::string svg = draw_memory_timeline("", trace);
  EXPECT_LT(svg.size(), 200'000u);
  EXPECT_THAT(svg, HasSubstr(">peak 11.00 MiB<")) << "moments are left out, but never the peak";
}

TEST(MemoryTimeline, LongNamesKeepTheirEnd) {
  MemoryTrace trace = training_step(0);
  const std::string name = "backbone.stages.layer4.blocks.2.bottleneck.conv3";
  trace.events = {event(Kind::Allocate, name, kMiB)};
  const std::string svg = draw_memory_timeline("", trace);
  EXPECT_THAT(svg, HasSubstr(".conv3</text>"));
  EXPECT_THAT(svg, Not(HasSubstr(">" + name + "</text>")));
  EXPECT_THAT(svg, HasSubstr("<title>" + name + "</title>"));
}

TEST(MemoryTimelineRecorder, WritesThePictureOfWhatItSaw) {
  TempFolder folder;
  const auto file = folder / "step.svg";
  CachingAllocator& allocator = allocator_for(Device::cpu());
  {
    MemoryTimelineRecorder recorder(Device::cpu(), "a step", file);
    recorder.phase("before");
    recorder.begin();
    recorder.phase("forward");
    const MemoryTagScope scope("big_layer");
    allocator.deallocate(allocator.allocate(64 * kMiB, Stream()));
    recorder.finish();
  }
  std::ifstream stream(file);
  const std::string svg{std::istreambuf_iterator<char>(stream), {}};
  EXPECT_EQ(in_legend(svg, "big_layer"), "64.00 MiB");
  EXPECT_THAT(svg, HasSubstr(">forward<"));
  EXPECT_THAT(svg, Not(HasSubstr(">before<")));
}

TEST(MemoryTimelineRecorder, AnAbandonedOneEndsItsTrace) {
  {
    MemoryTimelineRecorder recorder(Device::cpu(), "", "nowhere.svg");
    recorder.begin();
  }
  EXPECT_FALSE(std::filesystem::exists("nowhere.svg"));
  CachingAllocator& allocator = allocator_for(Device::cpu());
  allocator.start_trace();
  allocator.stop_trace();
}

TEST(MemoryTimelineRecorder, AFileThatCannotBeWrittenIsAnError) {
  MemoryTimelineRecorder recorder(Device::cpu(), "", "/no/such/folder/step.svg");
  recorder.begin();
  EXPECT_THROW(recorder.finish(), IoError);
}

}  // namespace
}  // namespace dlcuda

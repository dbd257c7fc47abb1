// What a ResNet-50's training steps ask for, against the caching allocator.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <ostream>
#include <string>
#include <vector>

#include "dlcuda/core/memory/caching_allocator.h"
#include "dlcuda/tests/support/resnet_memory.h"
#include "memory_fakes.h"

namespace dlcuda {
namespace {

using testing::fake_stream;
using testing::FakeResource;
using testing::kMiB;

struct Peak {
  std::size_t active = 0, reserved = 0;
  double waste() const { return double(reserved - active) / double(reserved); }
};

/// Of one step.
struct StepUse {
  Peak peak;              ///< at the moment with the most active bytes
  std::size_t calls = 0;  ///< of the resource
};

std::vector<StepUse> replay(const ResNetMemory& memory, CachingAllocator& allocator) {
  const Stream stream = fake_stream(1);
  std::vector<void*> slots(memory.slots, nullptr);
  std::vector<StepUse> steps;
  std::size_t calls = 0;
  for (std::size_t i = 0; i < memory.operations.size(); ++i) {
    if (steps.size() + 1 < memory.steps.size() && i == memory.steps[steps.size()]) {
      steps.emplace_back();
      calls = allocator.stats().total.segments.allocated;
    }
    const auto& [slot, bytes] = memory.operations[i];
    if (bytes == 0) {
      allocator.deallocate(slots[slot]);
      continue;
    }
    slots[slot] = allocator.allocate(bytes, stream);
    if (steps.empty() || i >= memory.steps.back()) continue;
    StepUse& step = steps.back();
    const MemoryUse use = allocator.stats().total;
    step.calls = use.segments.allocated - calls;
    if (use.active.current > step.peak.active) step.peak = {use.active.current, use.reserved.current};
  }
  return steps;
}

struct Training {
  const char* name;
  ResNetMemoryOptions options;
};

std::ostream& operator<<(std::ostream& stream, const Training& training) { return stream << training.name; }

class AllocatorReplay : public ::testing::TestWithParam<Training> {};

TEST_P(AllocatorReplay, WastesLessThanATwentiethAndSettles) {
  ResNetMemoryOptions options = GetParam().options;
  options.steps = 20;
  const ResNetMemory memory = resnet50_memory(options);
  FakeResource resource;
  CachingAllocator allocator(resource);
  const std::vector<StepUse> steps = replay(memory, allocator);
  ASSERT_EQ(steps.size(), 20u);
  for (std::size_t i = 1; i < steps.size(); ++i) {
    const Peak& peak = steps[i].peak;
    EXPECT_LT(peak.waste(), 0.05) << "step " << i + 1 << ": active " << format_bytes(peak.active)
                                  << ", reserved " << format_bytes(peak.reserved);
    if (i >= 5) {
      EXPECT_EQ(steps[i].calls, 0u) << "step " << i + 1;
    }
  }
  EXPECT_EQ(allocator.stats().total.active.current, 0u);
  allocator.empty_cache();
  EXPECT_EQ(resource.used(), 0u);
}

INSTANTIATE_TEST_SUITE_P(ResNet50, AllocatorReplay,
                         ::testing::Values(Training{"Batch8", {.batch = 8}},
                                           Training{"Batch13", {.batch = 13}},
                                           Training{"Batch32", {.batch = 32}},
                                           Training{"Batch32Unfused", {.batch = 32, .fused = false}},
                                           Training{"Batch32Bf16", {.batch = 32, .element = 2}},
                                           Training{"Batch64", {.batch = 64}},
                                           Training{"Batch64At288", {.batch = 64, .side = 288}},
                                           Training{"Batch256Bf16", {.batch = 256, .element = 2}}),
                         [](const auto& info) { return std::string(info.param.name); });

// The arithmetic against what is known of the model: 25,557,032 parameters and 53,120 running statistics.
TEST(ResNetMemory, HoldsTheModelsParameters) {
  const ResNetMemory memory = resnet50_memory({.batch = 1, .side = 224, .steps = 1});
  std::size_t bytes = 0;
  for (std::size_t i = 0; i < memory.steps.front(); ++i) bytes += memory.operations[i].bytes;
  EXPECT_EQ(bytes, 4 * (3 * std::size_t(25'557'032) + 53'120));
}

// From the second step on each is the same, and nothing is held when all is over.
TEST(ResNetMemory, RepeatsItself) {
  const ResNetMemory memory = resnet50_memory({.batch = 2, .steps = 3});
  const auto sizes = [&](std::size_t step) {
    std::vector<std::size_t> result;
    for (std::size_t i = memory.steps[step]; i < memory.steps[step + 1]; ++i) {
      result.push_back(memory.operations[i].bytes);
    }
    return result;
  };
  EXPECT_EQ(sizes(1), sizes(2));
  std::vector<bool> held(memory.slots, false);
  for (const auto& [slot, bytes] : memory.operations) {
    ASSERT_EQ(held[slot], bytes == 0);
    held[slot] = bytes != 0;
  }
  EXPECT_THAT(held, ::testing::Each(false));
}

}  // namespace
}  // namespace dlcuda

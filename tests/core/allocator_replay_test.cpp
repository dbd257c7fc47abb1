// What a ResNet-50's training steps ask for, against the caching allocator.
#include <gtest/gtest.h>

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

/// Replays everything; the highest moment of each step.
std::vector<Peak> replay(const ResNetMemory& memory, CachingAllocator& allocator) {
  const Stream stream = fake_stream(1);
  std::vector<void*> slots(memory.slots, nullptr);
  std::vector<Peak> peaks(memory.steps.size() - 1);
  for (std::size_t i = 0, step = 0; i < memory.operations.size(); ++i) {
    const auto& [slot, bytes] = memory.operations[i];
    if (bytes == 0) {
      allocator.deallocate(slots[slot]);
      continue;
    }
    slots[slot] = allocator.allocate(bytes, stream);
    while (step + 1 < memory.steps.size() && i >= memory.steps[step + 1]) ++step;
    if (i < memory.steps.front() || step == peaks.size()) continue;
    const MemoryUse use = allocator.stats().total;
    if (use.active.current > peaks[step].active) peaks[step] = {use.active.current, use.reserved.current};
  }
  return peaks;
}

struct Case {
  const char* name;
  ResNetMemoryOptions options;
};

class AllocatorReplay : public ::testing::TestWithParam<Case> {};

TEST_P(AllocatorReplay, WastesLessThanAHundredth) {
  ResNetMemoryOptions options = GetParam().options;
  options.steps = 5;
  const ResNetMemory memory = resnet50_memory(options);
  FakeResource resource;
  CachingAllocator allocator(resource);
  const auto peaks = replay(memory, allocator);
  for (std::size_t step = 0; step < peaks.size(); ++step) {
    std::printf("%s step %zu: active %.1f reserved %.1f waste %.2f%%\n", GetParam().name, step,
                double(peaks[step].active) / kMiB, double(peaks[step].reserved) / kMiB, 100 * peaks[step].waste());
  }
  EXPECT_LT(peaks.back().waste(), 0.05);
}

INSTANTIATE_TEST_SUITE_P(Trainings, AllocatorReplay,
                         ::testing::Values(Case{"Batch8", {.batch = 8}},
                                           Case{"Batch8Unfused", {.batch = 8, .fused = false}},
                                           Case{"Batch8Bf16", {.batch = 8, .element = 2}},
                                           Case{"Batch32", {.batch = 32}},
                                           Case{"Batch32Bf16Unfused", {.batch = 32, .fused = false, .element = 2}},
                                           Case{"Batch13", {.batch = 13}},
                                           Case{"Batch64", {.batch = 64}},
                                           Case{"Batch64_288", {.batch = 64, .side = 288}},
                                           Case{"Batch2", {.batch = 2}},
                                           Case{"Batch256", {.batch = 256, .element = 2}}),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace dlcuda

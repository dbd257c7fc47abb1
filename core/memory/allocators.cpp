// The allocators of the process: one for each device, one for the host, one for page-locked host memory.
#include <array>
#include <atomic>
#include <mutex>

#include "dlcuda/core/check.h"
#include "dlcuda/core/memory/caching_allocator.h"

namespace dlcuda {
namespace {

constexpr int kMaxCudaDevices = 64;

// Never destroyed, because tensors in static objects are released in any order; always reachable from here,
// so that leak checkers stay quiet.
struct Allocators {
  std::mutex mutex;
  std::array<std::atomic<CachingAllocator*>, 1 + kMaxCudaDevices> made{};  // the CPU's first
  std::array<MemoryResource*, 1 + kMaxCudaDevices> chosen{};
};

Allocators& allocators() {
  static auto* all = new Allocators;
  return *all;
}

std::size_t slot_of(Device device) {
  if (device.is_cpu()) return 0;
  DLCUDA_CHECK(device.index >= 0 && device.index < kMaxCudaDevices, DeviceError, "there is no device {}",
               to_string(device));
  return 1 + std::size_t(device.index);
}

}  // namespace

CachingAllocator& allocator_for(Device device) {
  Allocators& all = allocators();
  const std::size_t slot = slot_of(device);
  if (auto* found = all.made[slot].load(std::memory_order_acquire)) return *found;
  const std::lock_guard lock(all.mutex);
  if (auto* found = all.made[slot].load(std::memory_order_relaxed)) return *found;
  MemoryResource& upstream = all.chosen[slot] != nullptr ? *all.chosen[slot]
                             : device.is_cpu()           ? host_memory()
                                                         : device_memory(device.index);
  auto* made = new CachingAllocator(upstream, AllocatorOptions::from_environment());
  all.made[slot].store(made, std::memory_order_release);
  return *made;
}

CachingAllocator& pinned_allocator() {
  static auto* allocator = new CachingAllocator(pinned_memory(), AllocatorOptions::from_environment());
  return *allocator;
}

void set_memory_resource(Device device, MemoryResource& resource) {
  Allocators& all = allocators();
  const std::size_t slot = slot_of(device);
  const std::lock_guard lock(all.mutex);
  DLCUDA_CHECK(
      all.made[slot].load(std::memory_order_relaxed) == nullptr, ArgumentError,
      "set_memory_resource: {} has allocated memory already; call this before its first tensor is made",
      to_string(device));
  all.chosen[slot] = &resource;
}

}  // namespace dlcuda

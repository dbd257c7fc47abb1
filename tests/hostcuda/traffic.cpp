#include "dlcuda/tests/hostcuda/traffic.h"

#include <cuda_runtime.h>

#include <algorithm>
#include <tuple>
#include <utility>

namespace dlcuda::hostcuda {
namespace {

constexpr unsigned kWarp = 32;

// The one that counts, while a kernel runs.
TrafficCounter* counter = nullptr;

/// Sorts, drops repetitions, and counts what is left.
std::int64_t count_distinct(std::vector<std::uintptr_t>& values) {
  std::sort(values.begin(), values.end());
  values.erase(std::unique(values.begin(), values.end()), values.end());
  return std::int64_t(values.size());
}

template <typename Visitor>
void for_each_sector(std::uintptr_t address, std::size_t bytes, const Visitor& visitor) {
  for (std::uintptr_t s = address / kSectorBytes; s <= (address + bytes - 1) / kSectorBytes; ++s) visitor(s);
}

void append(std::vector<std::uintptr_t>& to, const std::vector<std::uintptr_t>& from) {
  to.insert(to.end(), from.begin(), from.end());
}

}  // namespace

TrafficCounter::TrafficCounter() { set_launch_observer(this); }
TrafficCounter::~TrafficCounter() { set_launch_observer(nullptr); }

Traffic TrafficCounter::take() { return std::exchange(total_, {}); }

void TrafficCounter::launch_begins(const std::string&, const std::vector<DeviceRange>& memory) {
  memory_ = memory;
  recent_ = {0, 0};
  ++total_.launches;
  counter = this;
}

void TrafficCounter::block_ends() {
  count_sectors();
  count_warps();
  accesses_.clear();
}

void TrafficCounter::launch_ends() {
  counter = nullptr;
  total_.distinct_loads += count_distinct(loaded_);
  total_.distinct_stores += count_distinct(stored_);
  loaded_.clear();
  stored_.clear();
}

void TrafficCounter::access(std::uintptr_t address, std::size_t bytes, bool store, const void* place) {
  if (address < recent_.begin || address >= recent_.end) {
    const auto after =
        std::upper_bound(memory_.begin(), memory_.end(), address,
                         [](std::uintptr_t a, const DeviceRange& range) { return a < range.begin; });
    if (after == memory_.begin() || address >= std::prev(after)->end) return;
    recent_ = *std::prev(after);
  }
  const unsigned thread = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
  accesses_.push_back({address, place, std::uint32_t(bytes), thread, 0, store});
}

void TrafficCounter::count_sectors() {
  for (const Access& access : accesses_) {
    auto& sectors = access.store ? block_stores_ : block_loads_;
    for_each_sector(access.address, access.bytes, [&](std::uintptr_t sector) {
      if (sectors.empty() || sectors.back() != sector) sectors.push_back(sector);
    });
  }
  total_.loads += count_distinct(block_loads_);
  total_.stores += count_distinct(block_stores_);
  append(loaded_, block_loads_);
  append(stored_, block_stores_);
  block_loads_.clear();
  block_stores_.clear();
}

void TrafficCounter::count_warps() {
  // Of one thread and place the order is that of time.
  std::stable_sort(accesses_.begin(), accesses_.end(), [](const Access& a, const Access& b) {
    return std::tie(a.place, a.thread) < std::tie(b.place, b.thread);
  });
  for (std::size_t i = 1; i < accesses_.size(); ++i) {
    const Access& before = accesses_[i - 1];
    Access& access = accesses_[i];
    if (before.place == access.place && before.thread == access.thread) access.turn = before.turn + 1;
  }
  const auto together = [](const Access& access) {
    return std::tuple(access.place, access.thread / kWarp, access.turn);
  };
  std::sort(accesses_.begin(), accesses_.end(), [&](const Access& a, const Access& b) {
    return std::tuple(together(a), a.address) < std::tuple(together(b), b.address);
  });
  std::vector<std::uintptr_t> sectors;
  for (std::size_t begin = 0, end = 0; begin < accesses_.size(); begin = end) {
    std::int64_t bytes = 0;
    for (; end < accesses_.size() && together(accesses_[end]) == together(accesses_[begin]); ++end) {
      const Access& access = accesses_[end];
      if (end == begin || access.address != accesses_[end - 1].address) bytes += access.bytes;
      for_each_sector(access.address, access.bytes,
                      [&](std::uintptr_t sector) { sectors.push_back(sector); });
    }
    total_.requested += count_distinct(sectors);
    total_.ideal += (bytes + kSectorBytes - 1) / kSectorBytes;
    sectors.clear();
  }
}

}  // namespace dlcuda::hostcuda

// What the compiler calls before each access, and what else it relies on with -fsanitize=thread.
#define HOSTCUDA_ACCESS(name, bytes, store)                                 \
  extern "C" void __tsan_##name(std::uintptr_t address);                    \
  void __tsan_##name(std::uintptr_t address) {                              \
    if (auto* counting = dlcuda::hostcuda::counter)                         \
      counting->access(address, bytes, store, __builtin_return_address(0)); \
  }
#define HOSTCUDA_ACCESSES(bytes)                       \
  HOSTCUDA_ACCESS(read##bytes, bytes, false)           \
  HOSTCUDA_ACCESS(write##bytes, bytes, true)           \
  HOSTCUDA_ACCESS(unaligned_read##bytes, bytes, false) \
  HOSTCUDA_ACCESS(unaligned_write##bytes, bytes, true)
HOSTCUDA_ACCESSES(1)
HOSTCUDA_ACCESSES(2)
HOSTCUDA_ACCESSES(4)
HOSTCUDA_ACCESSES(8)
HOSTCUDA_ACCESSES(16)
#undef HOSTCUDA_ACCESSES
#undef HOSTCUDA_ACCESS

// Atomic operations are the host code's, of reference counts: kernels' are reads and writes on the shim.
#define HOSTCUDA_ATOMIC(bits, type)                                                          \
  extern "C" type __tsan_atomic##bits##_load(const volatile type* from, int order);          \
  type __tsan_atomic##bits##_load(const volatile type* from, int) {                          \
    return __atomic_load_n(from, __ATOMIC_SEQ_CST);                                          \
  }                                                                                          \
  extern "C" void __tsan_atomic##bits##_store(volatile type* to, type value, int order);     \
  void __tsan_atomic##bits##_store(volatile type* to, type value, int) {                     \
    __atomic_store_n(to, value, __ATOMIC_SEQ_CST);                                           \
  }                                                                                          \
  extern "C" type __tsan_atomic##bits##_fetch_add(volatile type* to, type value, int order); \
  type __tsan_atomic##bits##_fetch_add(volatile type* to, type value, int) {                 \
    return __atomic_fetch_add(to, value, __ATOMIC_SEQ_CST);                                  \
  }                                                                                          \
  extern "C" type __tsan_atomic##bits##_fetch_sub(volatile type* to, type value, int order); \
  type __tsan_atomic##bits##_fetch_sub(volatile type* to, type value, int) {                 \
    return __atomic_fetch_sub(to, value, __ATOMIC_SEQ_CST);                                  \
  }
HOSTCUDA_ATOMIC(8, std::uint8_t)
HOSTCUDA_ATOMIC(32, std::uint32_t)
HOSTCUDA_ATOMIC(64, std::uint64_t)
#undef HOSTCUDA_ATOMIC

extern "C" {
void __tsan_init();
void __tsan_read_range(std::uintptr_t address, std::size_t bytes);
void __tsan_write_range(std::uintptr_t address, std::size_t bytes);
void __tsan_vptr_update(void** place, void* value);
void __tsan_vptr_read(void** place);
}

void __tsan_init() {}
void __tsan_vptr_update(void**, void*) {}
void __tsan_vptr_read(void**) {}
void __tsan_read_range(std::uintptr_t address, std::size_t bytes) {
  if (auto* counting = dlcuda::hostcuda::counter) {
    counting->access(address, bytes, false, __builtin_return_address(0));
  }
}
void __tsan_write_range(std::uintptr_t address, std::size_t bytes) {
  if (auto* counting = dlcuda::hostcuda::counter) {
    counting->access(address, bytes, true, __builtin_return_address(0));
  }
}

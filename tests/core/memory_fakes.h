// A resource and an event source for allocator tests: addresses that nobody may touch, events that complete
// on demand.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

#include "dlcuda/core/error.h"
#include "dlcuda/core/memory/event_source.h"
#include "dlcuda/core/memory/resource.h"

namespace dlcuda::testing {

inline constexpr std::size_t kMiB = std::size_t(1) << 20;

/// Exhausted beyond `capacity`. Checks that what comes back is what went out.
class FakeResource final : public MemoryResource {
 public:
  explicit FakeResource(std::size_t capacity = std::numeric_limits<std::size_t>::max())
      : capacity_(capacity) {}

  void* allocate(std::size_t bytes) override {
    const std::lock_guard lock(mutex_);
    sizes.push_back(bytes);
    if (throw_next == Throw::BadAlloc) throw std::bad_alloc();
    if (throw_next == Throw::Device) throw DeviceError("the fake device fails");
    if (bytes > capacity_ || used_ > capacity_ - bytes) return nullptr;
    used_ += bytes;
    void* pointer = reinterpret_cast<void*>(next_);
    // Consecutive segments touch, so that merging across them would show.
    next_ += (bytes + 511) / 512 * 512;
    live_.emplace(pointer, bytes);
    return pointer;
  }
  void deallocate(void* pointer, std::size_t bytes) noexcept override {
    const std::lock_guard lock(mutex_);
    const auto found = live_.find(pointer);
    if (found == live_.end() || found->second != bytes) {
      ++wrong_frees;
      return;
    }
    used_ -= bytes;
    live_.erase(found);
  }
  std::string name() const override { return "fake"; }
  std::optional<std::size_t> free_bytes() const override { return capacity_ - used_; }

  std::size_t used() const { return used_; }
  std::size_t live() const { return live_.size(); }

  enum class Throw { Nothing, BadAlloc, Device };
  Throw throw_next = Throw::Nothing;
  std::vector<std::size_t> sizes;  ///< of all calls, the refused ones too
  int wrong_frees = 0;

 private:
  std::mutex mutex_;
  std::size_t capacity_;
  std::size_t used_ = 0;
  std::uintptr_t next_ = std::uintptr_t(1) << 32;
  std::map<void*, std::size_t> live_;
};

class FakeEvents final : public EventSource {
 public:
  Handle record(const Stream& stream) override {
    if (fail_recording) throw DeviceError("the fake event cannot be recorded");
    pending.push_back({++last_, stream});
    ++live;
    return reinterpret_cast<Handle>(last_);
  }
  bool finished(Handle event) override {
    ++queries;
    if (fail_queries) throw DeviceError("the fake device is lost");
    for (const auto& entry : pending) {
      if (reinterpret_cast<Handle>(entry.id) == event) return false;
    }
    return true;
  }
  void synchronize(Handle event) override {
    ++synchronized;
    std::erase_if(pending, [&](const Pending& entry) { return reinterpret_cast<Handle>(entry.id) == event; });
  }
  void release(Handle) noexcept override { --live; }

  void complete(const Stream& stream) {
    std::erase_if(pending, [&](const Pending& entry) { return entry.stream == stream; });
  }

  struct Pending {
    std::uintptr_t id;
    Stream stream;
  };
  std::vector<Pending> pending;
  int live = 0;  ///< recorded and not released
  int queries = 0;
  int synchronized = 0;
  bool fail_recording = false;
  bool fail_queries = false;

 private:
  std::uintptr_t last_ = 0;
};

/// Streams of a device that need not exist: the allocator only compares them.
inline Stream fake_stream(std::uintptr_t id) {
  return Stream::borrow(Device::cuda(0), reinterpret_cast<void*>(id));
}

}  // namespace dlcuda::testing

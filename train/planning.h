// A scope in which nothing runs and no tensor has memory behind it, though both are counted: what plans and
// summaries are made in. Internal.
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <utility>

#include "dlcuda/core/capture.h"
#include "dlcuda/core/memory/caching_allocator.h"
#include "dlcuda/core/memory/event_source.h"
#include "dlcuda/core/memory/resource.h"
#include "dlcuda/core/stream.h"

namespace dlcuda {

/// Addresses, and nothing behind them.
class NoMemory final : public MemoryResource {
 public:
  explicit NoMemory(std::string name) : name_(std::move(name)) {}
  void* allocate(std::size_t bytes) override {
    void* const result = reinterpret_cast<void*>(next_);
    next_ += bytes;
    return result;
  }
  void deallocate(void*, std::size_t) noexcept override {}
  std::string name() const override { return name_; }

 private:
  std::string name_;
  std::uintptr_t next_ = std::uintptr_t(1) << 40;
};

/// Where nothing ever waits.
class NoEvents final : public EventSource {
 public:
  Handle record(const Stream&) override { return this; }
  bool finished(Handle) override { return true; }
  void synchronize(Handle) override {}
  void release(Handle) noexcept override {}
};

/// The scope, for this thread. The device need not be there.
class PlanningGround {
 public:
  explicit PlanningGround(Device device, std::size_t limit = std::numeric_limits<std::size_t>::max())
      : device_source_(to_string(device)),
        host_source_("host"),
        memory_(device_source_, {.limit = limit}, &events_),
        host_(host_source_, {}, &events_),
        planning_{device, memory_, device.is_cpu() ? memory_ : host_},
        scope_(planning_) {}
  PlanningGround(const PlanningGround&) = delete;
  PlanningGround& operator=(const PlanningGround&) = delete;

  /// Of the device.
  CachingAllocator& memory() { return memory_; }
  capture::Planning& planning() { return planning_; }

 private:
  NoMemory device_source_, host_source_;
  NoEvents events_;
  CachingAllocator memory_, host_;
  capture::Planning planning_;
  capture::PlanningScope scope_;
};

}  // namespace dlcuda

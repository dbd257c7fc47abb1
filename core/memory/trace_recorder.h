// Gathers a MemoryTrace under the caching allocator's lock. Internal.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <utility>

#include "dlcuda/core/memory/block.h"
#include "dlcuda/core/memory/trace.h"

namespace dlcuda::memory {

/// Idle until start(); every call costs one branch then.
class TraceRecorder {
 public:
  /// Room for `capacity` events is set aside here: the calls below never allocate.
  void start(MemoryTrace trace, std::size_t capacity) {
    trace.events.reserve(capacity);
    trace.began = std::chrono::steady_clock::now();
    capacity_ = capacity;
    trace_.emplace(std::move(trace));
  }
  bool recording() const noexcept { return trace_.has_value(); }
  MemoryTrace stop() {
    MemoryTrace trace = std::move(*trace_);
    trace_.reset();
    return trace;
  }

  void block(MemoryEvent::Kind kind, const Block& block) noexcept {
    if (trace_) [[unlikely]]
      add({.kind = kind, .tag = block.tag, .requested = block.requested}, *block.segment, block.pointer,
          block.bytes);
  }
  void segment(MemoryEvent::Kind kind, const Segment& segment) noexcept {
    if (trace_) [[unlikely]]
      add({.kind = kind, .requested = segment.bytes}, segment, segment.base, segment.bytes);
  }

 private:
  void add(MemoryEvent event, const Segment& segment, const std::byte* address, std::size_t bytes) noexcept {
    if (trace_->events.size() == capacity_) {
      ++trace_->dropped;
      return;
    }
    event.small = segment.small;
    event.time_ns = std::uint64_t(
        std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now() - trace_->began)
            .count());
    event.address = reinterpret_cast<std::uintptr_t>(address);
    event.stream = reinterpret_cast<std::uintptr_t>(segment.arena->stream.native());
    event.bytes = bytes;
    trace_->events.push_back(event);
  }

  std::optional<MemoryTrace> trace_;
  std::size_t capacity_ = 0;
};

}  // namespace dlcuda::memory

// What an allocator did, event by event: for pictures of a training step's memory, and to replay it
// elsewhere.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "dlcuda/core/macros.h"
#include "dlcuda/core/memory/stats.h"
#include "dlcuda/core/memory/tag.h"

namespace dlcuda DLCUDA_API {

struct MemoryEvent {
  enum class Kind : std::uint8_t {
    Allocate,        ///< a block was handed out: active bytes rise
    Defer,           ///< its holder has freed it, but other streams may still use it: nothing changes yet
    Free,            ///< the block may be reused: active bytes fall
    SegmentAcquire,  ///< taken from the resource: reserved bytes rise
    SegmentRelease,  ///< given back to it: reserved bytes fall
  };
  Kind kind = Kind::Allocate;
  bool small = false;          ///< of the pool for requests of up to 1 MiB
  std::uint32_t tag = 0;       ///< who asked: MemoryTag::from_id(tag); of a segment: 0
  std::uint64_t time_ns = 0;   ///< since the trace began
  std::uintptr_t address = 0;  ///< where the block or segment begins
  std::uintptr_t stream = 0;   ///< the native handle of the stream it belongs to
  std::size_t requested = 0;   ///< bytes asked for; of a segment: its bytes
  std::size_t bytes = 0;       ///< of the block, rounded up; of the segment
};

/// "allocate", "defer", "free", "segment_acquire", "segment_release"
std::string_view to_string(MemoryEvent::Kind kind);

struct MemoryTrace {
  std::string resource;                         ///< the resource's name
  std::chrono::steady_clock::time_point began;  ///< when time_ns was 0
  std::size_t reserved_at_start = 0;            ///< bytes
  std::vector<MemoryTagUse> held_at_start;      ///< active bytes by tag, the largest first
  std::vector<MemoryEvent> events;              ///< in the order in which they happened
  std::uint64_t dropped = 0;                    ///< later events, for which there was no room
};

/// {"resource", "reserved_at_start", "held_at_start": [{"tag", "bytes"}], "dropped", "events": [{"event",
/// "time_ns", "address", "stream", "requested", "bytes", "pool", "tag"}]}. Segments have no tag; addresses
/// and streams are hexadecimal strings.
std::string to_json(const MemoryTrace& trace);

}  // namespace dlcuda

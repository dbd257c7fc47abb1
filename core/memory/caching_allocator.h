// The caching allocator: memory from a resource, kept and handed out again. caching_allocator.cpp tells the
// policy.
#pragma once

#include <cstddef>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "dlcuda/core/device.h"
#include "dlcuda/core/memory/event_source.h"
#include "dlcuda/core/memory/resource.h"
#include "dlcuda/core/memory/stats.h"
#include "dlcuda/core/memory/tag.h"
#include "dlcuda/core/memory/trace.h"
#include "dlcuda/core/stream.h"

namespace dlcuda DLCUDA_API {

struct AllocatorOptions {
  /// Each allocation goes straight to the resource with its exact size, and back when it is freed: for
  /// AddressSanitizer and compute-sanitizer, which cannot see into cached memory.
  bool pass_through = false;
  /// The most that may be taken from the resource.
  std::size_t limit = std::numeric_limits<std::size_t>::max();

  /// pass_through where DLCUDA_NO_CACHE is set to anything but 0.
  static AllocatorOptions from_environment();
};

/// Thread-safe: one mutex around each call.
class CachingAllocator {
 public:
  /// The resource and the event source must outlive the allocator; without an event source, core/stream.h's
  /// events.
  explicit CachingAllocator(MemoryResource& upstream, AllocatorOptions options = {},
                            EventSource* events = nullptr);
  /// Waits for deferred blocks and gives everything back, blocks that are still held by callers too.
  ~CachingAllocator();
  CachingAllocator(const CachingAllocator&) = delete;
  CachingAllocator& operator=(const CachingAllocator&) = delete;

  /// Memory for work on `stream`, aligned to 256 bytes at least; nullptr for 0 bytes. Tagged with the
  /// thread's current_memory_tag(). Throws OutOfMemoryError when flushing the cache and trying again did not
  /// help; after any error what is held is as it was, and the next call works.
  void* allocate(std::size_t bytes, const Stream& stream);

  /// Gives memory back for reuse by later work on its stream. nullptr is legal; a pointer that this allocator
  /// has not handed out ends the program with a message, as free() would.
  void deallocate(void* pointer) noexcept;

  /// Says that work on another stream uses the memory: once freed, it is not reused before that stream has
  /// passed the point of freeing. Streams of the CPU and the memory's own need no such call, and it does
  /// nothing for them. Throws ArgumentError for a pointer that this allocator has not handed out.
  void record_stream(void* pointer, const Stream& stream);

  /// Gives all segments that are wholly free back to the resource. Does not wait for deferred blocks.
  void empty_cache();

  /// The most that may be taken from the resource from now on. What is above it already stays until it is
  /// freed.
  void set_limit(std::size_t bytes);

  /// The most that could be reserved: what is, and what is free at the source, within the limit. Nothing
  /// where neither is known.
  std::optional<std::size_t> capacity() const;

  MemoryStats stats() const;
  /// Sets every peak to the current value.
  void reset_peaks();
  /// Active bytes by tag, the largest first, without tags that have none.
  std::vector<MemoryTagUse> tags() const;
  /// Segments and blocks as a JSON object: {"resource": ..., "limit": ..., "segments": [{"address", "bytes",
  /// "pool", "private_pool", "stream", "blocks": [{"offset", "bytes", "requested", "state", "tag"}]}]}.
  std::string snapshot() const;

  /// Writes a trace of what happens from now on, up to `capacity` events, for which room is made here. Throws
  /// Error when a trace is being written already.
  void start_trace(std::size_t capacity = std::size_t(1) << 16);
  /// Ends the trace and hands it over. Throws Error when there is none.
  MemoryTrace stop_trace();

  /// The resource's name.
  std::string name() const;
  bool pass_through() const;

 private:
  friend class MemoryPool;
  class Impl;
  std::unique_ptr<Impl> impl_;
};

/// The allocator of a device, made at first use; host memory has one too. Lives as long as the process.
/// Throws DeviceError where the device is missing.
CachingAllocator& allocator_for(Device device);

/// The allocator of page-locked host memory. Allocate on the CPU's stream, and record_stream() each stream
/// that copies from or to the memory.
CachingAllocator& pinned_allocator();

/// Makes allocator_for(device) take its memory from the application's resource, which must live as long as
/// the process. Throws ArgumentError once that allocator exists.
void set_memory_resource(Device device, MemoryResource& resource);

}  // namespace dlcuda

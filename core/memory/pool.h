// Private pools: memory of an allocator that serves nobody else, so that what a recorded step uses keeps its
// contents and its addresses from one replay to the next.
#pragma once

#include <cstdint>
#include <optional>

#include "dlcuda/core/memory/caching_allocator.h"

namespace dlcuda DLCUDA_API {

/// Segments of its own inside an allocator. Blocks that are freed in it are reused by its own requests only,
/// and stay where they are when the allocator flushes its cache. At the pool's end what is free in it becomes
/// the allocator's; what is held stays valid, and follows when it is freed.
class MemoryPool {
 public:
  /// The allocator must outlive the pool.
  explicit MemoryPool(CachingAllocator& allocator);
  /// Work that uses the pool's memory must have finished, or be ahead in the stream that it belongs to.
  ~MemoryPool();
  MemoryPool(const MemoryPool&) = delete;
  MemoryPool& operator=(const MemoryPool&) = delete;

  /// Bytes of its segments.
  std::size_t reserved() const;

 private:
  friend class MemoryPoolScope;
  CachingAllocator& allocator_;
  std::uint64_t id_;
};

/// What this thread allocates from the pool's allocator comes from the pool until the scope ends; the
/// innermost scope counts. It belongs to `stream`, where the work that is being recorded will run, whichever
/// stream it is recorded on.
class MemoryPoolScope {
 public:
  MemoryPoolScope(const MemoryPool& pool, Stream stream) noexcept;
  /// No pool: for what outlives the work of a scope outside.
  MemoryPoolScope() noexcept;
  ~MemoryPoolScope();
  MemoryPoolScope(const MemoryPoolScope&) = delete;
  MemoryPoolScope& operator=(const MemoryPoolScope&) = delete;

 private:
  std::optional<Stream> stream_;
  const CachingAllocator* allocator_;  // of the scope outside
  std::uint64_t id_;
  const Stream* outer_stream_;
};

}  // namespace dlcuda

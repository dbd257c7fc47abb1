#include "dlcuda/core/memory/pool.h"

#include <algorithm>
#include <utility>

#include "dlcuda/core/memory/allocator_impl.h"

namespace dlcuda {

using memory::Arena;
using memory::Block;
using memory::BlockState;
using memory::Segment;

memory::PoolOfThread& memory::pool_of_thread() noexcept {
  thread_local PoolOfThread pool;
  return pool;
}

std::uint64_t CachingAllocator::Impl::make_pool() {
  const std::lock_guard lock(mutex_);
  return ++pools_;
}

void CachingAllocator::Impl::end_pool(std::uint64_t pool) noexcept {
  const std::lock_guard lock(mutex_);
  for (const auto& from : arenas_) {
    if (from->pool != pool) continue;
    const auto to = std::find_if(arenas_.begin(), arenas_.end(), [&](const auto& arena) {
      return arena->pool == 0 && arena->stream == from->stream;
    });
    if (to == arenas_.end()) {
      from->pool = 0;
    } else {
      move_segments(*from, **to);
    }
  }
  std::erase_if(arenas_, [&](const auto& arena) { return arena->pool == pool; });
  if (options_.pass_through) release_cached();
}

void CachingAllocator::Impl::move_segments(Arena& from, Arena& to) noexcept {
  for (Segment* segment = segments_; segment != nullptr; segment = segment->next) {
    if (segment->arena != &from) continue;
    for (Block* block = segment->first; block != nullptr; block = block->higher) {
      if (block->state != BlockState::Free) continue;
      from.free(segment->small).remove(block);
      to.free(segment->small).insert(block);
    }
    segment->arena = &to;
  }
  to.segments += std::exchange(from.segments, 0);
}

std::size_t CachingAllocator::Impl::reserved_in(std::uint64_t pool) const {
  const std::lock_guard lock(mutex_);
  std::size_t bytes = 0;
  for (const Segment* segment = segments_; segment != nullptr; segment = segment->next) {
    if (segment->arena->pool == pool) bytes += segment->bytes;
  }
  return bytes;
}

MemoryPool::MemoryPool(CachingAllocator& allocator)
    : allocator_(allocator), id_(allocator.impl_->make_pool()) {}
MemoryPool::~MemoryPool() { allocator_.impl_->end_pool(id_); }
std::size_t MemoryPool::reserved() const { return allocator_.impl_->reserved_in(id_); }

MemoryPoolScope::MemoryPoolScope() noexcept
    : allocator_(memory::pool_of_thread().allocator),
      id_(memory::pool_of_thread().id),
      outer_stream_(memory::pool_of_thread().stream) {
  memory::pool_of_thread() = {};
}

MemoryPoolScope::MemoryPoolScope(const MemoryPool& pool, Stream stream) noexcept : MemoryPoolScope() {
  stream_ = std::move(stream);
  memory::pool_of_thread() = {&pool.allocator_, pool.id_, &*stream_};
}
MemoryPoolScope::~MemoryPoolScope() { memory::pool_of_thread() = {allocator_, id_, outer_stream_}; }

}  // namespace dlcuda

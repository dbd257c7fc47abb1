// The inside of the caching allocator: caching_allocator.cpp has its policy, pool.cpp its private pools,
// allocator_report.cpp what it tells. Internal.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "dlcuda/core/memory/block.h"
#include "dlcuda/core/memory/caching_allocator.h"
#include "dlcuda/core/memory/pointer_table.h"
#include "dlcuda/core/memory/trace_recorder.h"

namespace dlcuda {

namespace memory {

/// What a request becomes.
struct RequestPlan {
  std::size_t requested;
  std::size_t block;             // bytes of the block
  std::size_t segment;           // bytes to ask the resource for
  std::size_t smallest_segment;  // the same when memory is short
  bool small;
  bool kept;  // whether the block goes back to the cache
};

/// The private pool that a thread allocates from.
struct PoolOfThread {
  const CachingAllocator* allocator = nullptr;
  std::uint64_t id = 0;
  const Stream* stream = nullptr;
};
PoolOfThread& pool_of_thread() noexcept;

}  // namespace memory

class CachingAllocator::Impl {
 public:
  Impl(MemoryResource& upstream, AllocatorOptions options, EventSource* events)
      : upstream_(upstream), options_(options), events_(events != nullptr ? *events : own_events_) {}
  ~Impl();

  void* allocate(std::size_t bytes, const Stream& stream, std::uint64_t pool);
  void deallocate(void* pointer) noexcept;
  void record_stream(void* pointer, const Stream& stream);
  void empty_cache();
  std::uint64_t make_pool();
  void end_pool(std::uint64_t pool) noexcept;
  std::size_t reserved_in(std::uint64_t pool) const;
  std::vector<MemoryTagUse> tags() const;
  std::string snapshot() const;
  void start_trace(std::size_t capacity);
  MemoryTrace stop_trace();

  MemoryResource& upstream_;
  AllocatorOptions options_;
  mutable std::mutex mutex_;
  MemoryStats stats_;

 private:
  memory::Arena& arena_for(const Stream& stream, std::uint64_t pool);
  void set_bookkeeping_aside(std::uint32_t tag);
  memory::Block* find_free(memory::Arena& arena, const memory::RequestPlan& plan) noexcept;
  memory::Block* new_segment(memory::Arena& arena, std::size_t bytes, const memory::RequestPlan& plan);
  memory::Block* grow(memory::Arena& arena, const memory::RequestPlan& plan, MemoryTag tag);
  void* hand_out(memory::Block* block, const memory::RequestPlan& plan, std::uint32_t tag) noexcept;
  void take_back(memory::Block* block) noexcept;
  void absorb_higher(memory::Block* block) noexcept;
  void release_segment(memory::Segment* segment) noexcept;
  void move_segments(memory::Arena& from, memory::Arena& to) noexcept;
  std::size_t release_cached(const memory::Arena* large_of = nullptr) noexcept;
  void defer(memory::Block* block) noexcept;
  void end_deferral(memory::Block* block) noexcept;
  void process_events();
  void wait_for_deferred();
  [[noreturn]] void throw_out_of_memory(const memory::RequestPlan& plan, MemoryTag tag);
  std::vector<MemoryTagUse> tags_locked() const;

  memory::Block* take_spare() noexcept {
    memory::Block* block = spare_;
    spare_ = block->next;
    --spares_;
    block->next = nullptr;
    return block;
  }
  void keep_spare(memory::Block* block) noexcept {
    block->next = spare_;
    spare_ = block;
    ++spares_;
  }
  /// Applies a change to the pool's numbers and to the total's.
  template <typename Change>
  void count(bool small, Change change) noexcept {
    change(stats_.total);
    change(small ? stats_.small : stats_.large);
  }

  StreamEventSource own_events_;
  EventSource& events_;
  std::vector<std::unique_ptr<memory::Arena>> arenas_;
  std::uint64_t pools_ = 0;  // made so far
  memory::Segment* segments_ = nullptr;
  memory::PointerTable held_;
  memory::BlockQueue deferred_;
  std::vector<std::size_t> tag_bytes_;  // active bytes by tag id
  std::vector<std::unique_ptr<memory::Block[]>> block_store_;
  memory::Block* spare_ = nullptr;
  std::size_t spares_ = 0;
  memory::TraceRecorder trace_;
};

}  // namespace dlcuda

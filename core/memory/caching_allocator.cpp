// The caching allocator.
//
// Asking a device for memory is slow (cudaMalloc takes as long as dozens of kernels, and cudaFree waits for
// all of them), so what was taken once is kept. All of this is bookkeeping on the host: addresses are
// compared and added to, the memory behind them is never touched.
//
// Words. A *segment* is what the resource gave. It is cut into *blocks*, which cover it without gaps. A block
// is *active* while a caller holds it, *deferred* when the caller has freed it but some stream may still be
// using it, and *free* otherwise. Reserved bytes are those of all segments; cached bytes are those of the
// free blocks.
//
// Sizes. Requests are rounded up to 512 bytes. Those of up to 1 MiB are cut from segments of 2 MiB, so that
// thousands of biases and statistics do not each cost a call; those below 10 MiB from segments of 20 MiB;
// larger ones get a segment of their own, rounded up to 2 MiB. Small and large requests never share a
// segment: a bias that lives forever must not split the room of an activation.
//
// Choice. Of the free blocks that are large enough the smallest is taken. What it has too much is cut off and
// becomes a free block, if that is worth having: any rest in the small pool, more than 1 MiB in the large
// one. A block that becomes free merges with its free neighbours, so a segment in which nothing is held is
// one block again.
//
// Growth. When no free block of the large pool is large enough, its wholly free segments are each too small:
// they are given back first, and the new segment takes their place, at least as large as all of them
// together. So what is cached grows together instead of lying about in pieces that fit nothing; a residual
// network's training wastes half as much memory with this. It happens a bounded number of times, because each
// time there are either fewer segments or more bytes; a training that repeats itself soon asks for nothing
// any more.
//
// Streams. A block belongs to the stream it was allocated for and is handed out again to that stream only, at
// once: the stream runs its work in order, so whatever the previous owner queued is done before the next
// owner's work starts. Each stream therefore has its own arena of segments. If a second stream used the
// block, record_stream says so; when such a block is freed an event is recorded on that stream, and the block
// stays deferred until the event has happened. Later calls look at the events in passing. The CPU's stream
// has nothing pending, ever.
//
// Pools. A recorded step writes to the same addresses at each replay, whoever may hold them by then. What it
// allocates while it is recorded therefore comes from a private pool: arenas of its own, which nobody else
// takes from and no flush empties.
//
// When the resource is exhausted, or the limit reached: wait for all deferred blocks, look again whether one
// of them serves; else give all wholly free segments back, and ask the resource once more, now for no more
// than the request needs (2 MiB granularity instead of 20 MiB). If that fails too, OutOfMemoryError says who
// holds the memory.
//
// Failure leaves no trace: what bookkeeping needs is set aside before anything changes. Freeing never
// allocates.
#include "dlcuda/core/memory/caching_allocator.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <new>
#include <string_view>

#include "dlcuda/core/check.h"
#include "dlcuda/core/memory/allocator_impl.h"

namespace dlcuda {

using memory::Arena;
using memory::Block;
using memory::BlockState;
using memory::FreeLists;
using memory::kRounding;
using memory::RequestPlan;
using memory::Segment;
using memory::StreamUse;

namespace {

constexpr std::size_t kMiB = std::size_t(1) << 20;
constexpr std::size_t kSmallRequest = kMiB;  // up to this from small segments
constexpr std::size_t kSmallSegment = 2 * kMiB;
constexpr std::size_t kMediumRequest = 10 * kMiB;  // below this from medium segments
constexpr std::size_t kMediumSegment = 20 * kMiB;
constexpr std::size_t kLargeGranularity = 2 * kMiB;
constexpr std::size_t kSplitLargeAbove = kMiB;
// More than any address space holds. Refused here, so that no sum below can overflow and no resource has to
// cope.
constexpr std::size_t kMaxRequest = std::size_t(1) << 47;

constexpr std::size_t round_up(std::size_t bytes, std::size_t multiple) {
  return (bytes + multiple - 1) / multiple * multiple;
}

RequestPlan plan_for(std::size_t bytes, bool pass_through) {
  if (pass_through) return {bytes, bytes, bytes, bytes, bytes <= kSmallRequest, false};
  const std::size_t block = round_up(bytes, kRounding);
  if (block <= kSmallRequest) return {bytes, block, kSmallSegment, kSmallSegment, true, true};
  const std::size_t exact = round_up(block, kLargeGranularity);
  return {bytes, block, block < kMediumRequest ? kMediumSegment : exact, exact, false, true};
}

}  // namespace

CachingAllocator::Impl::~Impl() {
  try {
    wait_for_deferred();
  } catch (...) {
    // The device is lost: nothing runs on it, so nothing uses the memory.
  }
  while (segments_ != nullptr) release_segment(segments_);
}

void* CachingAllocator::Impl::allocate(std::size_t bytes, const Stream& stream, std::uint64_t pool) {
  if (bytes == 0) return nullptr;
  const MemoryTag tag = current_memory_tag();
  const std::lock_guard lock(mutex_);
  if (bytes > kMaxRequest) throw_out_of_memory({bytes, bytes, bytes, bytes, false, false}, tag);
  // A thread that records a step must not ask for events: the driver forbids it.
  if (deferred_.front() != nullptr && pool == 0) process_events();
  const RequestPlan plan = plan_for(bytes, options_.pass_through && pool == 0);
  set_bookkeeping_aside(tag.id());
  Arena& arena = arena_for(stream, pool);
  Block* block = plan.kept ? find_free(arena, plan) : nullptr;
  if (block == nullptr) block = grow(arena, plan, tag);
  return hand_out(block, plan, tag.id());
}

Arena& CachingAllocator::Impl::arena_for(const Stream& stream, std::uint64_t pool) {
  for (const auto& arena : arenas_) {
    if (arena->pool == pool && arena->stream == stream) return *arena;
  }
  return *arenas_.emplace_back(std::make_unique<Arena>(stream, pool));
}

// An allocation needs at most one block for a new segment and one for what is cut off.
void CachingAllocator::Impl::set_bookkeeping_aside(std::uint32_t tag) {
  if (spares_ < 2) {
    constexpr std::size_t kBatch = 64;
    block_store_.reserve(block_store_.size() + 1);
    block_store_.push_back(std::make_unique<Block[]>(kBatch));
    for (std::size_t i = 0; i < kBatch; ++i) keep_spare(&block_store_.back()[i]);
  }
  held_.reserve_one();
  if (tag >= tag_bytes_.size()) tag_bytes_.resize(std::size_t(tag) + 1);
}

Block* CachingAllocator::Impl::find_free(Arena& arena, const RequestPlan& plan) noexcept {
  FreeLists& lists = arena.free(plan.small);
  Block* block = lists.best_fit(plan.block);
  if (block != nullptr) lists.remove(block);
  return block;
}

// A free block on no list, or nullptr when the resource or the limit refuses.
Block* CachingAllocator::Impl::new_segment(Arena& arena, std::size_t bytes, const RequestPlan& plan) {
  const std::size_t reserved = stats_.total.reserved.current;
  if (bytes > options_.limit || reserved > options_.limit - bytes) return nullptr;
  auto segment = std::make_unique<Segment>();
  void* base = nullptr;
  try {
    base = upstream_.allocate(bytes);
  } catch (const std::bad_alloc&) {
    // An application's resource may say "exhausted" in the standard library's way.
  }
  if (base == nullptr) return nullptr;

  Block* block = take_spare();
  block->segment = segment.get();
  block->pointer = static_cast<std::byte*>(base);
  block->bytes = bytes;
  block->state = BlockState::Free;
  *segment = {block->pointer, bytes, plan.small, plan.kept, &arena, block, nullptr, segments_};
  if (segments_ != nullptr) segments_->previous = segment.get();
  segments_ = segment.release();
  ++arena.segments;
  trace_.segment(MemoryEvent::Kind::SegmentAcquire, *segments_);
  count(plan.small, [&](MemoryUse& use) {
    use.reserved.add(bytes);
    use.segments.add(1);
  });
  return block;
}

Block* CachingAllocator::Impl::grow(Arena& arena, const RequestPlan& plan, MemoryTag tag) {
  const std::size_t joined = plan.small || !plan.kept ? 0 : release_cached(&arena);
  if (Block* block = new_segment(arena, std::max(plan.segment, joined), plan)) return block;
  if (arena.pool == 0) {
    wait_for_deferred();
    if (Block* block = plan.kept ? find_free(arena, plan) : nullptr) return block;
  }
  ++stats_.flushes;
  release_cached();
  if (Block* block = new_segment(arena, plan.smallest_segment, plan)) return block;
  throw_out_of_memory(plan, tag);
}

void* CachingAllocator::Impl::hand_out(Block* block, const RequestPlan& plan, std::uint32_t tag) noexcept {
  const std::size_t rest = block->bytes - plan.block;
  if (plan.small ? rest >= kRounding : rest > kSplitLargeAbove) {
    Block* cut = take_spare();
    cut->segment = block->segment;
    cut->pointer = block->pointer + plan.block;
    cut->bytes = rest;
    cut->state = BlockState::Free;
    cut->lower = block;
    cut->higher = block->higher;
    if (cut->higher != nullptr) cut->higher->lower = cut;
    block->higher = cut;
    block->bytes = plan.block;
    block->segment->arena->free(plan.small).insert(cut);
  }
  block->state = BlockState::Active;
  block->requested = plan.requested;
  block->tag = tag;
  held_.insert(block);
  tag_bytes_[tag] += block->bytes;
  trace_.block(MemoryEvent::Kind::Allocate, *block);
  count(plan.small, [&](MemoryUse& use) {
    use.requested.add(plan.requested);
    use.active.add(block->bytes);
    use.blocks.add(1);
  });
  return block->pointer;
}

void CachingAllocator::Impl::deallocate(void* pointer) noexcept {
  if (pointer == nullptr) return;
  const std::lock_guard lock(mutex_);
  Block* block = held_.erase(pointer);
  if (block == nullptr) {
    std::fprintf(stderr, "dlcuda: deallocate(%p): not held from this allocator: freed twice, or another's\n",
                 pointer);
    std::abort();
  }
  count(block->segment->small, [&](MemoryUse& use) { use.requested.subtract(block->requested); });
  if (block->uses.empty()) {
    take_back(block);
  } else {
    defer(block);
  }
}

// The block's memory may be reused from here on.
void CachingAllocator::Impl::take_back(Block* block) noexcept {
  Segment* segment = block->segment;
  tag_bytes_[block->tag] -= block->bytes;
  trace_.block(MemoryEvent::Kind::Free, *block);
  count(segment->small, [&](MemoryUse& use) {
    use.active.subtract(block->bytes);
    use.blocks.subtract(1);
  });
  block->state = BlockState::Free;
  block->requested = 0;
  if (!segment->kept) return release_segment(segment);

  FreeLists& lists = segment->arena->free(segment->small);
  if (Block* higher = block->higher; higher != nullptr && higher->state == BlockState::Free) {
    lists.remove(higher);
    absorb_higher(block);
  }
  if (Block* lower = block->lower; lower != nullptr && lower->state == BlockState::Free) {
    lists.remove(lower);
    absorb_higher(lower);
    block = lower;
  }
  lists.insert(block);
}

void CachingAllocator::Impl::absorb_higher(Block* block) noexcept {
  Block* gone = block->higher;
  block->bytes += gone->bytes;
  block->higher = gone->higher;
  if (block->higher != nullptr) block->higher->lower = block;
  gone->lower = gone->higher = nullptr;
  keep_spare(gone);
}

// Its blocks must be on no list, except in the destructor, after which there are no lists.
void CachingAllocator::Impl::release_segment(Segment* segment) noexcept {
  for (Block* block = segment->first; block != nullptr;) {
    Block* higher = block->higher;
    block->lower = block->higher = block->previous = nullptr;
    keep_spare(block);
    block = higher;
  }
  (segment->previous != nullptr ? segment->previous->next : segments_) = segment->next;
  if (segment->next != nullptr) segment->next->previous = segment->previous;
  --segment->arena->segments;
  trace_.segment(MemoryEvent::Kind::SegmentRelease, *segment);
  count(segment->small, [&](MemoryUse& use) {
    use.reserved.subtract(segment->bytes);
    use.segments.subtract(1);
  });
  upstream_.deallocate(segment->base, segment->bytes);
  delete segment;
}

// All wholly free segments outside private pools, or one arena's large ones; returns their bytes.
std::size_t CachingAllocator::Impl::release_cached(const Arena* large_of) noexcept {
  std::size_t released = 0;
  for (Segment* segment = segments_; segment != nullptr;) {
    Segment* next = segment->next;
    const bool free = segment->first->state == BlockState::Free && segment->first->bytes == segment->bytes;
    const bool meant = large_of == nullptr || (large_of == segment->arena && !segment->small);
    if (free && meant && segment->arena->pool == 0) {
      released += segment->bytes;
      segment->arena->free(segment->small).remove(segment->first);
      release_segment(segment);
    }
    segment = next;
  }
  return released;
}

void CachingAllocator::Impl::record_stream(void* pointer, const Stream& stream) {
  if (pointer == nullptr || stream.device().is_cpu()) return;
  const std::lock_guard lock(mutex_);
  Block* block = held_.find(pointer);
  DLCUDA_CHECK(block != nullptr, ArgumentError, "record_stream: {} was not allocated from the {} allocator",
               pointer, upstream_.name());
  if (block->segment->arena->stream == stream) return;
  for (const StreamUse& use : block->uses) {
    if (use.stream == stream) return;
  }
  block->uses.push_back({stream, nullptr});
}

void CachingAllocator::Impl::defer(Block* block) noexcept {
  bool waiting = false;
  for (StreamUse& use : block->uses) {
    try {
      use.event = events_.record(use.stream);
      waiting = true;
    } catch (...) {
      // Without an event there is still the whole stream to wait for; if that fails too the device is lost,
      // and nothing runs on it any more.
      try {
        use.stream.synchronize();
      } catch (...) {
      }
    }
  }
  block->state = BlockState::Deferred;
  if (!waiting) {
    block->uses.clear();
    return take_back(block);
  }
  stats_.deferred += block->bytes;
  trace_.block(MemoryEvent::Kind::Defer, *block);
  deferred_.push_back(block);
}

void CachingAllocator::Impl::end_deferral(Block* block) noexcept {
  deferred_.remove(block);
  stats_.deferred -= block->bytes;
  block->uses.clear();
  take_back(block);
}

// Blocks come in the order in which their events were recorded, so once one event of a stream is still to
// come, the later ones of that stream need no look.
void CachingAllocator::Impl::process_events() {
  std::array<const Stream*, 4> busy{};
  std::size_t busy_count = 0;
  const auto pending = [&](StreamUse& use) {
    if (use.event == nullptr) return false;
    for (std::size_t i = 0; i < busy_count; ++i) {
      if (*busy[i] == use.stream) return true;
    }
    if (events_.finished(use.event)) {
      events_.release(use.event);
      use.event = nullptr;
      return false;
    }
    if (busy_count < busy.size()) busy[busy_count++] = &use.stream;
    return true;
  };
  for (Block* block = deferred_.front(); block != nullptr;) {
    Block* next = block->next;
    bool waiting = false;
    for (StreamUse& use : block->uses) waiting |= pending(use);
    if (!waiting) end_deferral(block);
    block = next;
  }
}

void CachingAllocator::Impl::wait_for_deferred() {
  while (Block* block = deferred_.front()) {
    for (StreamUse& use : block->uses) {
      if (use.event == nullptr) continue;
      events_.synchronize(use.event);
      events_.release(use.event);
      use.event = nullptr;
    }
    end_deferral(block);
  }
}

void CachingAllocator::Impl::empty_cache() {
  const std::lock_guard lock(mutex_);
  process_events();
  release_cached();
  std::erase_if(arenas_, [](const auto& arena) { return arena->segments == 0; });
}

AllocatorOptions AllocatorOptions::from_environment() {
  const char* value = std::getenv("DLCUDA_NO_CACHE");
  AllocatorOptions options;
  options.pass_through = value != nullptr && *value != '\0' && std::string_view(value) != "0";
  return options;
}

CachingAllocator::CachingAllocator(MemoryResource& upstream, AllocatorOptions options, EventSource* events)
    : impl_(std::make_unique<Impl>(upstream, options, events)) {}
CachingAllocator::~CachingAllocator() = default;

void* CachingAllocator::allocate(std::size_t bytes, const Stream& stream) {
  const memory::PoolOfThread& pool = memory::pool_of_thread();
  if (pool.allocator == this) return impl_->allocate(bytes, *pool.stream, pool.id);
  return impl_->allocate(bytes, stream, 0);
}
void CachingAllocator::deallocate(void* pointer) noexcept { impl_->deallocate(pointer); }
void CachingAllocator::record_stream(void* pointer, const Stream& stream) {
  impl_->record_stream(pointer, stream);
}
void CachingAllocator::empty_cache() { impl_->empty_cache(); }

void CachingAllocator::set_limit(std::size_t bytes) {
  const std::lock_guard lock(impl_->mutex_);
  impl_->options_.limit = bytes;
}

}  // namespace dlcuda

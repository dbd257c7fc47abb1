// The caching allocator's bookkeeping: segments, the blocks they are cut into, and lists of free blocks.
// Internal.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "dlcuda/core/memory/event_source.h"
#include "dlcuda/core/stream.h"

namespace dlcuda::memory {

/// Sizes and addresses of blocks are multiples of this.
inline constexpr std::size_t kRounding = 512;

struct Arena;
struct Block;

/// One piece of memory from the resource.
struct Segment {
  std::byte* base = nullptr;
  std::size_t bytes = 0;
  bool small = false;
  bool kept = true;  // in the cache once it is free; not where the allocator passes requests through
  Arena* arena = nullptr;
  Block* first = nullptr;  // the block at `base`: merging keeps the lower block
  Segment* previous = nullptr;
  Segment* next = nullptr;
};

enum class BlockState : std::uint8_t { Free, Active, Deferred };

/// A stream other than the block's own that has used it, and the event it waits for once the caller has freed
/// it.
struct StreamUse {
  Stream stream;
  EventSource::Handle event = nullptr;
};

struct Block {
  Segment* segment = nullptr;
  std::byte* pointer = nullptr;
  std::size_t bytes = 0;
  std::size_t requested = 0;
  Block* lower = nullptr;  // neighbours in the segment
  Block* higher = nullptr;
  Block* previous = nullptr;  // in the list that the block is on: free, deferred or spare
  Block* next = nullptr;
  std::uint32_t tag = 0;
  BlockState state = BlockState::Free;
  std::vector<StreamUse> uses;
};

/// Blocks linked through `previous` and `next`, in the order of their coming.
class BlockQueue {
 public:
  Block* front() const { return front_; }
  void push_back(Block* block) noexcept {
    block->previous = back_;
    block->next = nullptr;
    (back_ != nullptr ? back_->next : front_) = block;
    back_ = block;
  }
  void remove(Block* block) noexcept {
    (block->previous != nullptr ? block->previous->next : front_) = block->next;
    (block->next != nullptr ? block->next->previous : back_) = block->previous;
    block->previous = block->next = nullptr;
  }

 private:
  Block* front_ = nullptr;
  Block* back_ = nullptr;
};

/// Free blocks by size. Bins are a sixteenth to a thirty-second part of their size wide (exact up to 16 KiB),
/// found through two levels of bit masks; within a bin blocks are sorted by size, the one freed last first
/// among equals, as its bytes are the likeliest to be in a cache. So best fit is exact and takes a handful of
/// steps, and nothing is ever allocated.
class FreeLists {
 public:
  void insert(Block* block) noexcept {
    const Bin bin = bin_of(block->bytes);
    Block** link = &heads_[bin.level][bin.slot];
    Block* before = nullptr;
    while (*link != nullptr && (*link)->bytes < block->bytes) {
      before = *link;
      link = &before->next;
    }
    block->previous = before;
    block->next = *link;
    if (block->next != nullptr) block->next->previous = block;
    *link = block;
    slots_[bin.level] |= 1u << bin.slot;
    levels_ |= std::uint64_t(1) << bin.level;
  }

  void remove(Block* block) noexcept {
    if (block->next != nullptr) block->next->previous = block->previous;
    if (block->previous != nullptr) {
      block->previous->next = block->next;
    } else {
      const Bin bin = bin_of(block->bytes);
      heads_[bin.level][bin.slot] = block->next;
      if (block->next == nullptr) {
        slots_[bin.level] &= ~(1u << bin.slot);
        if (slots_[bin.level] == 0) levels_ &= ~(std::uint64_t(1) << bin.level);
      }
    }
    block->previous = block->next = nullptr;
  }

  /// The smallest block of at least `bytes`; nullptr when there is none. The block stays on its list.
  Block* best_fit(std::size_t bytes) const noexcept {
    const Bin bin = bin_of(bytes);
    for (Block* block = heads_[bin.level][bin.slot]; block != nullptr; block = block->next) {
      if (block->bytes >= bytes) return block;
    }
    const std::uint32_t wider = slots_[bin.level] & ~((std::uint32_t(2) << bin.slot) - 1);
    if (wider != 0) return heads_[bin.level][unsigned(std::countr_zero(wider))];
    const std::uint64_t higher = levels_ & ~((std::uint64_t(2) << bin.level) - 1);
    if (higher == 0) return nullptr;
    const auto level = unsigned(std::countr_zero(higher));
    return heads_[level][unsigned(std::countr_zero(slots_[level]))];
  }

 private:
  static constexpr unsigned kSlotBits = 5;
  static constexpr unsigned kSlots = 1u << kSlotBits;
  static constexpr unsigned kLevels = 64 - 9 - kSlotBits + 1;  // every multiple of 512 that 64 bits hold

  struct Bin {
    unsigned level, slot;
  };
  static Bin bin_of(std::size_t bytes) noexcept {
    const std::size_t units = bytes / kRounding;
    if (units < kSlots) return {0, unsigned(units)};
    const auto top = unsigned(std::bit_width(units)) - 1;
    return {top - kSlotBits + 1, unsigned(units >> (top - kSlotBits)) & (kSlots - 1)};
  }

  std::uint64_t levels_ = 0;
  std::array<std::uint32_t, kLevels> slots_{};
  std::array<std::array<Block*, kSlots>, kLevels> heads_{};
};

/// What belongs to one stream, inside or outside a private pool: a block is reused there without waiting,
/// because the stream itself keeps the order.
struct Arena {
  /// Names the stream without owning it: what the arena caches must not keep a stream from going back to its
  /// pool.
  Arena(const Stream& of, std::uint64_t of_pool)
      : stream(Stream::borrow(of.device(), of.native())), pool(of_pool) {}
  FreeLists& free(bool small_blocks) { return small_blocks ? small : large; }

  Stream stream;
  std::uint64_t pool;  // 0: no private one
  FreeLists small, large;
  std::size_t segments = 0;
};

}  // namespace dlcuda::memory

// From the pointers that callers hold to their blocks: open addressing with linear probing. Internal.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "dlcuda/core/memory/block.h"

namespace dlcuda::memory {

class PointerTable {
 public:
  PointerTable() : slots_(1024, nullptr) {}

  /// Makes room for one more entry; the only function here that allocates.
  void reserve_one() {
    if ((count_ + 1) * 2 <= slots_.size()) return;
    std::vector<Block*> old(slots_.size() * 2, nullptr);
    old.swap(slots_);
    --shift_;
    count_ = 0;
    for (Block* block : old) {
      if (block != nullptr) insert(block);
    }
  }

  void insert(Block* block) noexcept {
    std::size_t at = home(block->pointer);
    while (slots_[at] != nullptr) at = following(at);
    slots_[at] = block;
    ++count_;
  }

  Block* find(const void* pointer) const noexcept {
    for (std::size_t at = home(pointer); slots_[at] != nullptr; at = following(at)) {
      if (slots_[at]->pointer == pointer) return slots_[at];
    }
    return nullptr;
  }

  /// nullptr when the pointer is not known.
  Block* erase(const void* pointer) noexcept {
    std::size_t at = home(pointer);
    while (slots_[at] != nullptr && slots_[at]->pointer != pointer) at = following(at);
    Block* const found = slots_[at];
    if (found == nullptr) return nullptr;
    --count_;
    // Moves up what was pushed beyond this slot, so that no search meets a hole before its entry.
    std::size_t hole = at;
    for (at = following(at); slots_[at] != nullptr; at = following(at)) {
      const std::size_t mask = slots_.size() - 1;
      const std::size_t travelled = (at - home(slots_[at]->pointer)) & mask;
      if (travelled >= ((at - hole) & mask)) {
        slots_[hole] = slots_[at];
        hole = at;
      }
    }
    slots_[hole] = nullptr;
    return found;
  }

  std::size_t size() const noexcept { return count_; }

 private:
  // Fibonacci hashing: the product's upper bits depend on all bits of the address.
  std::size_t home(const void* pointer) const noexcept {
    return std::size_t((reinterpret_cast<std::uintptr_t>(pointer) >> 4) * std::uint64_t(0x9e3779b97f4a7c15) >>
                       shift_);
  }
  std::size_t following(std::size_t at) const noexcept { return (at + 1) & (slots_.size() - 1); }

  std::vector<Block*> slots_;  // a power of two, at most half full
  unsigned shift_ = 64 - 10;
  std::size_t count_ = 0;
};

}  // namespace dlcuda::memory

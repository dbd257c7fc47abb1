// What an allocator has done, in numbers.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>

#include "dlcuda/core/macros.h"

namespace dlcuda DLCUDA_API {

/// A quantity that goes up and down. allocated - freed == current, always.
struct MemoryCounter {
  std::size_t current = 0;
  std::size_t peak = 0;
  std::size_t allocated = 0;  ///< sum of all increases
  std::size_t freed = 0;      ///< sum of all decreases

  void add(std::size_t amount) {
    current += amount;
    allocated += amount;
    peak = std::max(peak, current);
  }
  void subtract(std::size_t amount) {
    current -= amount;
    freed += amount;
  }
  bool operator==(const MemoryCounter&) const = default;
};

/// Bytes unless said otherwise.
struct MemoryUse {
  MemoryCounter requested;  ///< what callers asked for and hold
  MemoryCounter active;     ///< the blocks of it: rounded up, and including those that wait for events
  MemoryCounter blocks;     ///< their number
  MemoryCounter reserved;   ///< taken from the resource: active and cached
  MemoryCounter segments;   ///< their number; segments.allocated counts calls to the resource that succeeded

  std::size_t cached() const { return reserved.current - active.current; }
  bool operator==(const MemoryUse&) const = default;
};

struct MemoryStats {
  MemoryUse total;
  MemoryUse small;  ///< requests of up to 1 MiB
  MemoryUse large;
  std::size_t deferred = 0;         ///< freed by the caller, waiting for an event; part of `active`
  std::uint64_t flushes = 0;        ///< how often the resource was exhausted and the cache was given back
  std::uint64_t out_of_memory = 0;  ///< how often that did not help
  bool operator==(const MemoryStats&) const = default;
};

/// Active bytes of one tag.
struct MemoryTagUse {
  std::string tag;
  std::size_t bytes = 0;
  bool operator==(const MemoryTagUse&) const = default;
};

/// "512 B", "1.50 MiB", "12.00 GiB"
std::string format_bytes(std::size_t bytes);

}  // namespace dlcuda

// A short sequence of random numbers that belongs to one item: a counter, so nothing depends on order or
// threads. Only exact arithmetic: the numbers are the same on every machine.
#pragma once

#include <cstdint>

#include "dlcuda/core/macros.h"
#include "dlcuda/core/philox.h"

namespace dlcuda DLCUDA_API {

class RandomStream {
 public:
  /// `key` from random_key(); `item` and `step` (an epoch, or 0) name the sequence.
  RandomStream(std::uint64_t key, std::uint64_t item, std::uint32_t step)
      : key_(key), item_(item), step_(step) {}

  std::uint32_t bits() {
    if (used_ == 4) {
      block_ = philox4x32_10(key_, item_, ordinal_++, step_);
      used_ = 0;
    }
    return block_.value[used_++];
  }
  /// [0, 1)
  float uniform() { return philox_uniform(bits()); }
  /// [low, high)
  float uniform(float low, float high) { return low + (high - low) * uniform(); }
  /// [-1, 1], bell-shaped: the mean of three uniform numbers.
  float bell() { return (uniform() + uniform() + uniform()) * (2.0f / 3.0f) - 1.0f; }
  bool chance(float probability) { return uniform() < probability; }
  /// [0, count), without bias worth speaking of: 64 bits are scaled, not taken modulo.
  std::uint64_t below(std::uint64_t count) {
    const std::uint64_t high = bits(), word = high << 32 | bits();
    __extension__ using Wide = unsigned __int128;
    return static_cast<std::uint64_t>(Wide(word) * count >> 64);
  }

 private:
  std::uint64_t key_;
  std::uint64_t item_;
  std::uint32_t step_;
  std::uint32_t ordinal_ = 0;
  Philox4 block_{};
  int used_ = 4;
};

}  // namespace dlcuda

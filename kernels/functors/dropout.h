// Which elements dropout keeps: an integer comparison of Philox words, identical everywhere.
#pragma once

#include "dlcuda/core/philox.h"

namespace dlcuda::functors {

struct DropoutMask {
  std::uint64_t key;
  std::uint32_t ordinal, step;
  std::uint64_t threshold;  ///< round(p * 2^32): words below it are dropped; 2^32 drops all

  /// The four words of elements 4 * group .. 4 * group + 3.
  DLCUDA_HD Philox4 words(std::uint64_t group) const { return philox4x32_10(key, group, ordinal, step); }
  DLCUDA_HD bool keep(std::uint32_t word) const { return word >= threshold; }
  /// Of one item alone; where neighbours decide as well, words() serves four.
  DLCUDA_HD bool keeps(std::uint64_t item) const {
    const Philox4 all = words(item / 4);
    // Chosen, not indexed: on a GPU an array with an unknown index does not stay in registers.
    const std::uint32_t even = item % 4 < 2 ? all.value[0] : all.value[2],
                        odd = item % 4 < 2 ? all.value[1] : all.value[3];
    return keep(item % 2 == 0 ? even : odd);
  }
};

/// round(p * 2^32)
DLCUDA_INLINE std::uint64_t dropout_threshold(double p) {
  return static_cast<std::uint64_t>(p * 0x1p32 + 0.5);
}
/// What kept elements are multiplied by; 0 when none is kept.
DLCUDA_INLINE float dropout_scale(double p) { return p < 1 ? static_cast<float>(1 / (1 - p)) : 0.0f; }

}  // namespace dlcuda::functors

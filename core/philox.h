// Philox4x32-10: counter-based random numbers (Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3",
// SC 2011). The same counter gives the same numbers on the CPU and on every GPU, whatever the launch shape.
#pragma once

#include <cstdint>

#include "dlcuda/core/macros.h"

namespace dlcuda DLCUDA_API {

struct Philox4 {
  std::uint32_t value[4];
};

/// Ten rounds. key: the seed; counter words: position (64 bits), call ordinal, step.
DLCUDA_HD Philox4 philox4x32_10(std::uint64_t key, std::uint64_t position, std::uint32_t ordinal,
                                std::uint32_t step) {
  auto k0 = static_cast<std::uint32_t>(key), k1 = static_cast<std::uint32_t>(key >> 32);
  auto c0 = static_cast<std::uint32_t>(position), c1 = static_cast<std::uint32_t>(position >> 32);
  std::uint32_t c2 = ordinal, c3 = step;
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t p0 = std::uint64_t{0xD2511F53u} * c0, p1 = std::uint64_t{0xCD9E8D57u} * c2;
    const auto n0 = static_cast<std::uint32_t>(p1 >> 32) ^ c1 ^ k0,
               n2 = static_cast<std::uint32_t>(p0 >> 32) ^ c3 ^ k1;
    c1 = static_cast<std::uint32_t>(p1);
    c3 = static_cast<std::uint32_t>(p0);
    c0 = n0;
    c2 = n2;
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  return {{c0, c1, c2, c3}};
}

/// [0, 1): the upper 24 bits, so that every value is exact in f32.
DLCUDA_HD float philox_uniform(std::uint32_t bits) { return static_cast<float>(bits >> 8) * 0x1p-24f; }

/// Purposes that draw from one seed without ever meeting: each has a key of its own.
enum class RandomDomain : std::uint64_t {
  Dropout = 0,
  InitialWeights = 0x9E6D5A3C17B2F84Du,
  Shuffle = 0x3C79AC492BA7B653u,
  Augmentation = 0xD1B54A32D192ED03u,
  GeneratedData = 0x8CB92BA72F3D8DD7u,
  Clustering = 0xA24BAED4963EE407u,
};

constexpr std::uint64_t random_key(std::uint64_t seed, RandomDomain domain) {
  return seed ^ static_cast<std::uint64_t>(domain);
}

}  // namespace dlcuda

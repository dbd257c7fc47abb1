// One vector register of the level that a loop is built for, where loops are written for registers. Included
// like loops.h.
#pragma once

#if defined(__AVX512BF16__)
#include <immintrin.h>
#endif

#include <cstring>

#include "dlcuda/kernels/cpu/loops.h"

namespace dlcuda::kernels::cpu::DLCUDA_ISA {
namespace {

#if defined(__AVX512F__)
constexpr int kVectorBytes = 64;
#elif defined(__AVX__)
constexpr int kVectorBytes = 32;
#else
constexpr int kVectorBytes = 16;
#endif
template <typename T, int kBytes = kVectorBytes>
struct Simd {
  static constexpr int kLanes = kBytes / int(sizeof(T));
  using Vector __attribute__((vector_size(kBytes))) = T;
};
template <typename T, int kBytes = kVectorBytes>
using Vector = typename Simd<T, kBytes>::Vector;

template <typename T, int kBytes = kVectorBytes>
DLCUDA_INLINE Vector<T, kBytes> load(const T* from) {
  Vector<T, kBytes> value;
  std::memcpy(&value, from, sizeof value);
  return value;
}
template <typename T, typename Vector>
DLCUDA_INLINE void store(T* to, const Vector& value) {
  std::memcpy(to, &value, sizeof value);
}

/// A register full of bf16 as f32: those with even places and those with odd ones, which takes no shuffle.
template <int kBytes = kVectorBytes>
struct Bf16Pairs {
  using Floats = Vector<float, kBytes>;
  using Words = Vector<std::uint32_t, kBytes>;
  static constexpr int kCount = kBytes / int(sizeof(BFloat16));
  Floats even, odd;

  static DLCUDA_INLINE Bf16Pairs load(const BFloat16* from) {
    Words both;
    std::memcpy(&both, from, sizeof both);
    asm("" : "+v"(both));  // in a register: compilers would load it twice
    return {__builtin_bit_cast(Floats, both << 16), __builtin_bit_cast(Floats, both & 0xffff0000u)};
  }
  DLCUDA_INLINE void store(BFloat16* to) const {
#if defined(__AVX512BF16__)
    if constexpr (kBytes == 64) {
      constexpr Vector<std::uint16_t, 64> kTurns = {0,  16, 1,  17, 2,  18, 3,  19, 4,  20, 5,
                                                    21, 6,  22, 7,  23, 8,  24, 9,  25, 10, 26,
                                                    11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
      const auto halves = reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(odd, even));
      return cpu::DLCUDA_ISA::store(to, _mm512_permutexvar_epi16(reinterpret_cast<__m512i>(kTurns), halves));
    }
#endif
    const Words both = (rounded_to_bf16<Words>(even) >> 16) | (rounded_to_bf16<Words>(odd) & 0xffff0000u);
    std::memcpy(to, &both, sizeof both);
  }
};

}  // namespace
}  // namespace dlcuda::kernels::cpu::DLCUDA_ISA

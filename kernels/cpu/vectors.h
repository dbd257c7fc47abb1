// One vector register of the level that a loop is built for, where loops are written for registers. Included
// like loops.h.
#pragma once

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
    const Words both = (rounded_to_bf16<Words>(even) >> 16) | (rounded_to_bf16<Words>(odd) & 0xffff0000u);
    std::memcpy(to, &both, sizeof both);
  }
};

}  // namespace
}  // namespace dlcuda::kernels::cpu::DLCUDA_ISA

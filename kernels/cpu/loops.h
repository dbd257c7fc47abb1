// What the CPU loops share: dividing work among threads, and turning a dtype into a type. Each file that
// includes this is compiled for several x86-64 levels in the namespace DLCUDA_ISA; therefore everything here
// is in an anonymous namespace or always inlined, and nothing throws (see core/macros.h).
#pragma once

#include <omp.h>

#include <cstdint>

#include "dlcuda/core/dtype.h"
#include "dlcuda/core/tensor_view.h"

#ifndef DLCUDA_ISA
#define DLCUDA_ISA v2  // for editors; the build always defines it
#endif

namespace dlcuda::kernels::cpu::DLCUDA_ISA {
namespace {

/// Elements of cheap work below which another thread does not pay.
constexpr std::int64_t kGrain = 8192;

/// body(begin, end) on as many threads as have at least `grain` items each; the cut depends on the thread
/// count alone.
template <typename Body>
DLCUDA_INLINE void parallel_for(std::int64_t count, std::int64_t grain, const Body& body) {
  const std::int64_t useful = grain > 0 ? (count + grain - 1) / grain : count;
  const std::int64_t available = omp_get_max_threads();
  const int threads = static_cast<int>(useful < available ? useful : available);
  if (threads <= 1) {
    if (count > 0) body(std::int64_t{0}, count);
    return;
  }
#pragma omp parallel num_threads(threads)
  {
    const std::int64_t of = omp_get_num_threads(), me = omp_get_thread_num();
    const std::int64_t share = count / of, rest = count % of;
    const std::int64_t begin = me * share + (me < rest ? me : rest);
    const std::int64_t end = begin + share + (me < rest ? 1 : 0);
    if (begin < end) body(begin, end);
  }
}

/// Asks for `count` elements that will be read soon, in the first cache; or, with kFar, later, in the second.
template <bool kFar = false, typename T>
DLCUDA_INLINE void prefetch(const T* from, std::int64_t count) {
  constexpr std::int64_t kLine = 64 / sizeof(T);
  for (std::int64_t i = 0; i < count; i += kLine) __builtin_prefetch(from + i, 0, kFar ? 2 : 3);
}

/// f32 whose upper half is the value in bf16: to nearest even, NaN stays NaN, as in BFloat16(float). For one
/// number (Word is std::uint32_t) or a vector of them.
template <typename Word, typename Float>
DLCUDA_INLINE Word rounded_to_bf16(const Float& value) {
  const Word u = __builtin_bit_cast(Word, value);
  return value == value ? u + 0x7fffu + ((u >> 16) & 1u) : u | 0x400000u;
}

/// body.template operator()<T>() for a floating-point dtype; the public functions have checked that it is
/// one.
template <typename Body>
DLCUDA_INLINE void visit_floating(DType dtype, const Body& body) {
  switch (dtype) {
    case DType::F32:
      body.template operator()<float>();
      break;
    case DType::F64:
      body.template operator()<double>();
      break;
    case DType::F16:
      body.template operator()<Half>();
      break;
    case DType::BF16:
      body.template operator()<BFloat16>();
      break;
    default:
      break;
  }
}

/// The same for every dtype.
template <typename Body>
DLCUDA_INLINE void visit_any(DType dtype, const Body& body) {
  switch (dtype) {
    case DType::I32:
      body.template operator()<std::int32_t>();
      break;
    case DType::I64:
      body.template operator()<std::int64_t>();
      break;
    case DType::U8:
      body.template operator()<std::uint8_t>();
      break;
    case DType::Bool:
      body.template operator()<bool>();
      break;
    default:
      visit_floating(dtype, body);
      break;
  }
}

}  // namespace
}  // namespace dlcuda::kernels::cpu::DLCUDA_ISA

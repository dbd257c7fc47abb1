// The device functions that kernels call: barriers, warp operations, atomics, bit and fast-maths intrinsics.
// Overload sets are as narrow as CUDA's, so that what nvcc would refuse does not pass here.
#pragma once

#include <math.h>

#include <bit>
#include <concepts>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "hostcuda/execution.h"

namespace dlcuda::hostcuda {

template <typename T, typename... Options>
concept OneOf = (std::same_as<T, Options> || ...);

template <typename T>
requires std::is_arithmetic_v<T> T exchange(WarpOperation operation, unsigned mask, T value,
                                            unsigned argument, int width, Where where) {
  std::uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof value);
  bits = warp_operation(operation, mask, bits, argument, width, where);
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

template <typename T, typename Update>
T read_modify_write(T* address, Update update) {
  const T old = *address;
  *address = update(old);
  return old;
}

}  // namespace dlcuda::hostcuda

// ---- barriers ----

inline void __syncthreads(dlcuda::hostcuda::Where where = dlcuda::hostcuda::Where::current()) {
  dlcuda::hostcuda::block_barrier(dlcuda::hostcuda::BlockOperation::Sync, false, where);
}
inline int __syncthreads_count(int predicate,
                               dlcuda::hostcuda::Where where = dlcuda::hostcuda::Where::current()) {
  return dlcuda::hostcuda::block_barrier(dlcuda::hostcuda::BlockOperation::Count, predicate != 0, where);
}
inline int __syncthreads_and(int predicate,
                             dlcuda::hostcuda::Where where = dlcuda::hostcuda::Where::current()) {
  return dlcuda::hostcuda::block_barrier(dlcuda::hostcuda::BlockOperation::And, predicate != 0, where);
}
inline int __syncthreads_or(int predicate,
                            dlcuda::hostcuda::Where where = dlcuda::hostcuda::Where::current()) {
  return dlcuda::hostcuda::block_barrier(dlcuda::hostcuda::BlockOperation::Or, predicate != 0, where);
}
inline void __syncwarp(unsigned mask = 0xffffffffu,
                       dlcuda::hostcuda::Where where = dlcuda::hostcuda::Where::current()) {
  dlcuda::hostcuda::warp_operation(dlcuda::hostcuda::WarpOperation::Sync, mask, 0, 0, 32, where);
}
inline void __threadfence() {}
inline void __threadfence_block() {}
inline void __threadfence_system() {}

// ---- warp operations ----

template <typename T>
T __shfl_sync(unsigned mask, T value, int source, int width = 32,
              dlcuda::hostcuda::Where where = dlcuda::hostcuda::Where::current()) {
  return dlcuda::hostcuda::exchange(dlcuda::hostcuda::WarpOperation::Shuffle, mask, value, unsigned(source),
                                    width, where);
}
template <typename T>
T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = 32,
                 dlcuda::hostcuda::Where where = dlcuda::hostcuda::Where::current()) {
  return dlcuda::hostcuda::exchange(dlcuda::hostcuda::WarpOperation::ShuffleUp, mask, value, delta, width,
                                    where);
}
template <typename T>
T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32,
                   dlcuda::hostcuda::Where where = dlcuda::hostcuda::Where::current()) {
  return dlcuda::hostcuda::exchange(dlcuda::hostcuda::WarpOperation::ShuffleDown, mask, value, delta, width,
                                    where);
}
template <typename T>
T __shfl_xor_sync(unsigned mask, T value, int lane_mask, int width = 32,
                  dlcuda::hostcuda::Where where = dlcuda::hostcuda::Where::current()) {
  return dlcuda::hostcuda::exchange(dlcuda::hostcuda::WarpOperation::ShuffleXor, mask, value,
                                    unsigned(lane_mask), width, where);
}
inline unsigned __ballot_sync(unsigned mask, int predicate,
                              dlcuda::hostcuda::Where where = dlcuda::hostcuda::Where::current()) {
  return unsigned(dlcuda::hostcuda::warp_operation(dlcuda::hostcuda::WarpOperation::Ballot, mask,
                                                   predicate != 0, 0, 32, where));
}
inline int __any_sync(unsigned mask, int predicate,
                      dlcuda::hostcuda::Where where = dlcuda::hostcuda::Where::current()) {
  return int(dlcuda::hostcuda::warp_operation(dlcuda::hostcuda::WarpOperation::Any, mask, predicate != 0, 0,
                                              32, where));
}
inline int __all_sync(unsigned mask, int predicate,
                      dlcuda::hostcuda::Where where = dlcuda::hostcuda::Where::current()) {
  return int(dlcuda::hostcuda::warp_operation(dlcuda::hostcuda::WarpOperation::All, mask, predicate != 0, 0,
                                              32, where));
}
/// CUDA promises nothing about which other lanes are in it; here it is never more than the caller.
inline unsigned __activemask() { return dlcuda::hostcuda::lane_bit(); }

// ---- atomics: threads run one at a time, so reading and writing suffice ----

template <dlcuda::hostcuda::OneOf<int, unsigned, unsigned long long, float, double> T>
T atomicAdd(T* address, std::type_identity_t<T> value) {
  return dlcuda::hostcuda::read_modify_write(address, [&](T old) { return T(old + value); });
}
template <dlcuda::hostcuda::OneOf<int, unsigned> T>
T atomicSub(T* address, std::type_identity_t<T> value) {
  return dlcuda::hostcuda::read_modify_write(address, [&](T old) { return T(old - value); });
}
template <dlcuda::hostcuda::OneOf<int, unsigned, long long, unsigned long long> T>
T atomicMax(T* address, std::type_identity_t<T> value) {
  return dlcuda::hostcuda::read_modify_write(address, [&](T old) { return old < value ? value : old; });
}
template <dlcuda::hostcuda::OneOf<int, unsigned, long long, unsigned long long> T>
T atomicMin(T* address, std::type_identity_t<T> value) {
  return dlcuda::hostcuda::read_modify_write(address, [&](T old) { return value < old ? value : old; });
}
template <dlcuda::hostcuda::OneOf<int, unsigned, unsigned long long, float> T>
T atomicExch(T* address, std::type_identity_t<T> value) {
  return dlcuda::hostcuda::read_modify_write(address, [&](T) { return value; });
}
template <dlcuda::hostcuda::OneOf<int, unsigned, unsigned long long, unsigned short> T>
T atomicCAS(T* address, std::type_identity_t<T> compare, std::type_identity_t<T> value) {
  return dlcuda::hostcuda::read_modify_write(address, [&](T old) { return old == compare ? value : old; });
}
template <dlcuda::hostcuda::OneOf<int, unsigned, unsigned long long> T>
T atomicOr(T* address, std::type_identity_t<T> value) {
  return dlcuda::hostcuda::read_modify_write(address, [&](T old) { return old | value; });
}
template <dlcuda::hostcuda::OneOf<int, unsigned, unsigned long long> T>
T atomicAnd(T* address, std::type_identity_t<T> value) {
  return dlcuda::hostcuda::read_modify_write(address, [&](T old) { return old & value; });
}
template <dlcuda::hostcuda::OneOf<int, unsigned, unsigned long long> T>
T atomicXor(T* address, std::type_identity_t<T> value) {
  return dlcuda::hostcuda::read_modify_write(address, [&](T old) { return old ^ value; });
}
/// Counts up to `limit`, then starts again at 0.
inline unsigned atomicInc(unsigned* address, unsigned limit) {
  return dlcuda::hostcuda::read_modify_write(address,
                                             [&](unsigned old) { return old >= limit ? 0u : old + 1; });
}

// ---- loads and stores with cache hints ----

template <typename T>
T __ldg(const T* address) {
  return *address;
}
template <typename T>
T __ldca(const T* address) {
  return *address;
}
template <typename T>
T __ldcg(const T* address) {
  return *address;
}
template <typename T>
T __ldcs(const T* address) {
  return *address;
}
template <typename T>
void __stcg(T* address, T value) {
  *address = value;
}
template <typename T>
void __stcs(T* address, T value) {
  *address = value;
}

// ---- bits and integers ----

inline int __popc(unsigned x) { return std::popcount(x); }
inline int __popcll(unsigned long long x) { return std::popcount(x); }
inline int __clz(int x) { return std::countl_zero(unsigned(x)); }
inline int __clzll(long long x) { return std::countl_zero(static_cast<unsigned long long>(x)); }
inline int __ffs(int x) { return __builtin_ffs(x); }
inline int __ffsll(long long x) { return __builtin_ffsll(x); }
inline unsigned __brev(unsigned x) {
  unsigned reversed = 0;
  for (int bit = 0; bit < 32; ++bit) reversed |= ((x >> bit) & 1u) << (31 - bit);
  return reversed;
}
inline unsigned __umulhi(unsigned a, unsigned b) { return unsigned((std::uint64_t(a) * b) >> 32); }
inline int __mulhi(int a, int b) { return int((std::int64_t(a) * b) >> 32); }
inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
  __extension__ using Wide = unsigned __int128;
  return static_cast<unsigned long long>((Wide(a) * b) >> 64);
}

inline int __float_as_int(float x) { return std::bit_cast<int>(x); }
inline unsigned __float_as_uint(float x) { return std::bit_cast<unsigned>(x); }
inline float __int_as_float(int x) { return std::bit_cast<float>(x); }
inline float __uint_as_float(unsigned x) { return std::bit_cast<float>(x); }
inline long long __double_as_longlong(double x) { return std::bit_cast<long long>(x); }
inline double __longlong_as_double(long long x) { return std::bit_cast<double>(x); }
inline int __float2int_rn(float x) { return int(nearbyintf(x)); }
inline int __float2int_rz(float x) { return int(x); }
inline int __float2int_rd(float x) { return int(floorf(x)); }
inline int __float2int_ru(float x) { return int(ceilf(x)); }
inline float __int2float_rn(int x) { return float(x); }
inline float __uint2float_rn(unsigned x) { return float(x); }

// ---- floating point; the fast intrinsics are the exact functions here. glibc declares some of these names
// itself, with noexcept ----

inline float __expf(float x) noexcept { return expf(x); }
inline float __exp10f(float x) noexcept { return powf(10.0f, x); }
inline float __logf(float x) noexcept { return logf(x); }
inline float __log2f(float x) noexcept { return log2f(x); }
inline float __log10f(float x) noexcept { return log10f(x); }
inline float __powf(float x, float y) noexcept { return powf(x, y); }
inline float __sinf(float x) noexcept { return sinf(x); }
inline float __cosf(float x) noexcept { return cosf(x); }
inline float __tanf(float x) noexcept { return tanf(x); }
inline float __fdividef(float x, float y) { return x / y; }
inline float __frcp_rn(float x) { return 1.0f / x; }
inline float __fsqrt_rn(float x) { return sqrtf(x); }
inline float __fadd_rn(float x, float y) { return x + y; }
inline float __fsub_rn(float x, float y) { return x - y; }
inline float __fmul_rn(float x, float y) { return x * y; }
inline float __fdiv_rn(float x, float y) { return x / y; }
inline float __fmaf_rn(float x, float y, float z) { return fmaf(x, y, z); }
inline double __dadd_rn(double x, double y) { return x + y; }
inline double __dmul_rn(double x, double y) { return x * y; }
inline float __saturatef(float x) { return fminf(fmaxf(x, 0.0f), 1.0f); }
inline float rsqrtf(float x) { return 1.0f / sqrtf(x); }
inline double rsqrt(double x) { return 1.0 / sqrt(x); }
inline float sinpif(float x) { return float(sin(3.14159265358979323846 * double(x))); }
inline float cospif(float x) { return float(cos(3.14159265358979323846 * double(x))); }

/// As CUDA's overloads: integers by value, floating point like fmin and fmax (a NaN loses).
template <typename A, typename B>
requires(std::is_arithmetic_v<A>&& std::is_arithmetic_v<B>) constexpr std::common_type_t<A, B> min(A a, B b) {
  using T = std::common_type_t<A, B>;
  if constexpr (std::is_floating_point_v<T>) {
    return T(b) != T(b) || T(a) < T(b) ? T(a) : T(b);
  } else {
    return T(b) < T(a) ? T(b) : T(a);
  }
}
template <typename A, typename B>
requires(std::is_arithmetic_v<A>&& std::is_arithmetic_v<B>) constexpr std::common_type_t<A, B> max(A a, B b) {
  using T = std::common_type_t<A, B>;
  if constexpr (std::is_floating_point_v<T>) {
    return T(b) != T(b) || T(a) > T(b) ? T(a) : T(b);
  } else {
    return T(a) < T(b) ? T(b) : T(a);
  }
}

// Elementary functions that CPU loops and CUDA kernels share, so that both give nearly the same values, and
// that compilers turn into vector code: no branches, no calls. The f64 versions are the C library's.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>

#include "dlcuda/core/macros.h"

namespace dlcuda::functors {

namespace detail {

/// e^x = 2^n (1 + p) with |x - n ln 2| <= ln(2) / 2, and p = e^(x - n ln 2) - 1 without cancellation.
struct SplitExp {
  std::int32_t n;
  float p;
};

DLCUDA_HD SplitExp split_exp(float x) {
  // Adding 1.5 * 2^23 rounds x / ln 2 to an integer and leaves it in the low bits.
  constexpr float kShift = 12582912.0f, kLog2E = 1.44269504088896341f;
  constexpr float kLn2High = 0.693359375f, kLn2Low = -2.12194440054690583e-4f;
  const float shifted = x * kLog2E + kShift;
  const float n = shifted - kShift;
  const float r = (x - n * kLn2High) - n * kLn2Low;
  // Taylor: the first term left out, r^8 / 8!, is below 2^-27 of e^r.
  float p = 1.0f / 5040;
  p = p * r + 1.0f / 720;
  p = p * r + 1.0f / 120;
  p = p * r + 1.0f / 24;
  p = p * r + 1.0f / 6;
  p = p * r + 0.5f;
  p = p * r * r + r;
  return {std::bit_cast<std::int32_t>(shifted) - std::bit_cast<std::int32_t>(kShift), p};
}

/// 2^n for -126 <= n <= 127.
DLCUDA_HD float power_of_two(std::int32_t n) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(n + 127) << 23);
}

}  // namespace detail

/// Within 3 units in the last place; results below 2^-126 become 0, above f32's range infinity; NaN stays
/// NaN.
DLCUDA_HD float exp(float x) {
  constexpr float kLowest = -87.33654f, kHighest = 88.72283f;
  const float clamped = x < kLowest ? kLowest : (x > kHighest ? kHighest : x);
  const detail::SplitExp e = detail::split_exp(clamped);
  // In two factors, because 2^128 is no f32 while e^88.7 is.
  const std::int32_t half = e.n >> 1;
  const float first = detail::power_of_two(half);
  const float inside = (first * e.p + first) * detail::power_of_two(e.n - half);
  return x < kLowest ? 0.0f : (x > kHighest ? HUGE_VALF : inside);
}
DLCUDA_HD double exp(double x) { return ::exp(x); }

DLCUDA_HD float tanh(float x) {
  // tanh |x| = (1 - e^-2|x|) / (1 + e^-2|x|), the numerator computed as -expm1 so that small x keep their
  // digits.
  const float magnitude = std::bit_cast<float>(std::bit_cast<std::uint32_t>(x) & 0x7fffffffu);
  const float clamped = magnitude > 10.0f ? 10.0f : magnitude;  // tanh(10) is 1 in f32; NaN passes
  const detail::SplitExp e = detail::split_exp(-2.0f * clamped);
  const float power = detail::power_of_two(e.n);
  const float expm1 = power * e.p + (power - 1.0f);
  const float result = -expm1 / (2.0f + expm1);
  return std::bit_cast<float>(std::bit_cast<std::uint32_t>(result) |
                              (std::bit_cast<std::uint32_t>(x) & 0x80000000u));
}
DLCUDA_HD double tanh(double x) { return ::tanh(x); }

DLCUDA_HD float sigmoid(float x) { return 1.0f / (1.0f + functors::exp(-x)); }
DLCUDA_HD double sigmoid(double x) { return 1.0 / (1.0 + ::exp(-x)); }

/// e^x - 1, without cancellation around 0.
DLCUDA_HD float expm1(float x) {
  const float clamped = x < -20.0f ? -20.0f : (x > 88.0f ? 88.0f : x);  // e^-20 is nothing beside 1
  const detail::SplitExp e = detail::split_exp(clamped);
  const float power = detail::power_of_two(e.n);
  const float inside = power * e.p + (power - 1.0f);
  return x > 88.0f ? functors::exp(x) : inside;
}
DLCUDA_HD double expm1(double x) { return ::expm1(x); }

DLCUDA_HD float log1p(float x) { return ::log1pf(x); }
DLCUDA_HD double log1p(double x) { return ::log1p(x); }
DLCUDA_HD float erfc(float x) { return ::erfcf(x); }
DLCUDA_HD double erfc(double x) { return ::erfc(x); }
DLCUDA_HD float log(float x) { return ::logf(x); }
DLCUDA_HD double log(double x) { return ::log(x); }
DLCUDA_HD float pow(float x, float y) { return ::powf(x, y); }
DLCUDA_HD double pow(double x, double y) { return ::pow(x, y); }
DLCUDA_HD float sqrt(float x) { return ::sqrtf(x); }
DLCUDA_HD double sqrt(double x) { return ::sqrt(x); }

}  // namespace dlcuda::functors

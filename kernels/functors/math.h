// Elementary functions that CPU loops and CUDA kernels share, so that both give nearly the same values, and
// that compilers turn into vector code: no branches, no calls. The f64 versions are the C library's.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>

#include "dlcuda/core/macros.h"

namespace dlcuda::functors {

namespace detail {

/// e^x = 2^n (1 + p) with |remainder| <= ln(2) / 2: n as a float exponent, p = e^remainder - 1 without
/// cancellation.
struct SplitExp {
  float power;  // 2^n
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
  const std::uint32_t exponent =
      (std::bit_cast<std::uint32_t>(shifted) - std::bit_cast<std::uint32_t>(kShift)) + 127u;
  return {std::bit_cast<float>(exponent << 23), p};
}

}  // namespace detail

/// Within 2 units in the last place; results below 2^-126 become 0, above f32's range infinity; NaN stays
/// NaN.
DLCUDA_HD float exp(float x) {
  const float clamped = x < -87.0f ? -87.0f : (x > 88.0f ? 88.0f : x);
  const detail::SplitExp e = detail::split_exp(clamped);
  const float inside = e.power * e.p + e.power;
  // e^88 is below the largest f32; the little that is left of the range is one more factor.
  const float above = x > 88.72283f ? HUGE_VALF : inside * (1.0f + (x - 88.0f));
  return x < -87.33654f ? 0.0f : (x > 88.0f ? above : (x < -87.0f ? inside * (1.0f + (x + 87.0f)) : inside));
}
DLCUDA_HD double exp(double x) { return ::exp(x); }

DLCUDA_HD float tanh(float x) {
  // tanh |x| = (1 - e^-2|x|) / (1 + e^-2|x|), the numerator computed as -expm1 so that small x keep their
  // digits.
  const float magnitude = std::bit_cast<float>(std::bit_cast<std::uint32_t>(x) & 0x7fffffffu);
  const float clamped = magnitude > 10.0f ? 10.0f : magnitude;  // tanh(10) is 1 in f32; NaN passes
  const detail::SplitExp e = detail::split_exp(-2.0f * clamped);
  const float expm1 = e.power * e.p + (e.power - 1.0f);
  const float result = -expm1 / (2.0f + expm1);
  return std::bit_cast<float>(std::bit_cast<std::uint32_t>(result) |
                              (std::bit_cast<std::uint32_t>(x) & 0x80000000u));
}
DLCUDA_HD double tanh(double x) { return ::tanh(x); }

DLCUDA_HD float sigmoid(float x) { return 1.0f / (1.0f + functors::exp(-x)); }
DLCUDA_HD double sigmoid(double x) { return 1.0 / (1.0 + ::exp(-x)); }

DLCUDA_HD float log(float x) { return ::logf(x); }
DLCUDA_HD double log(double x) { return ::log(x); }
DLCUDA_HD float sqrt(float x) { return ::sqrtf(x); }
DLCUDA_HD double sqrt(double x) { return ::sqrt(x); }

}  // namespace dlcuda::functors

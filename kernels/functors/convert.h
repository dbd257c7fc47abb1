// One element from one dtype to another.
#pragma once

#include <cstdint>
#include <limits>
#include <type_traits>

#include "dlcuda/core/dtype.h"

namespace dlcuda::functors {

/// Floating-point to integer rounds toward zero, clamps to the integer's range and gives 0 for NaN (C++
/// leaves both undefined; so every device does the same). Anything to bool: is it other than zero. Integers
/// wrap.
template <typename To, typename From>
DLCUDA_HD To convert(From from) {
  const compute_t<From> value(from);
  if constexpr (std::is_same_v<To, bool>) {
    return value != compute_t<From>(0);
  } else if constexpr (std::is_integral_v<To> && std::is_floating_point_v<compute_t<From>>) {
    // The bounds are powers of two (minus one at the top, which rounds up to one): exact, or one past the
    // end.
    constexpr auto kLow = static_cast<compute_t<From>>(std::numeric_limits<To>::min());
    constexpr auto kHigh = static_cast<compute_t<From>>(std::numeric_limits<To>::max());
    if (value != value) return 0;
    if (value <= kLow) return std::numeric_limits<To>::min();
    if (value >= kHigh) return std::numeric_limits<To>::max();
    return static_cast<To>(value);
  } else if constexpr (sizeof(To) == 2 && !std::is_integral_v<To>) {
    return To(static_cast<float>(value));
  } else {
    return static_cast<To>(value);
  }
}

}  // namespace dlcuda::functors

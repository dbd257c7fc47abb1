// The activations that convolutions of our own apply to their sums in registers. Internal.
#pragma once

#include <limits>
#include <optional>

#include "dlcuda/kernels/activation.h"

namespace dlcuda::kernels::cpu {

/// f(x) = x, times `slope` below 0, not below `low` and not above `high`. NaN stays NaN.
struct PiecewiseLinear {
  float slope = 1, low = -std::numeric_limits<float>::infinity(),
        high = std::numeric_limits<float>::infinity();

  DLCUDA_INLINE bool is_identity() const {
    constexpr float kInfinity = std::numeric_limits<float>::infinity();
    return slope == 1 && low == -kInfinity && high == kInfinity;
  }
  /// Of a vector (GCC's).
  template <typename Vector>
  DLCUDA_INLINE Vector operator()(Vector x) const {
    const Vector zero{}, least = zero + low, most = zero + high;
    x = x > zero ? x : x * slope;
    x = least > x ? least : x;
    return most < x ? most : x;
  }
};

/// nullopt for activations of another kind.
inline std::optional<PiecewiseLinear> piecewise_linear(const ActivationParams& activation) {
  switch (activation.kind) {
    case Activation::Identity:
      return PiecewiseLinear{};
    case Activation::Relu:
      return PiecewiseLinear{.low = 0};
    case Activation::Relu6:
      return PiecewiseLinear{.low = 0, .high = 6};
    case Activation::LeakyRelu:
      return PiecewiseLinear{.slope = activation.slope};
    default:
      return std::nullopt;
  }
}

}  // namespace dlcuda::kernels::cpu

// Optimiser updates of one element. T: float or double.
#pragma once

#include "dlcuda/kernels/functors/math.h"

namespace dlcuda::functors {

template <typename T>
struct SgdUpdate {
  T lr, momentum, weight_decay;
  bool nesterov;

  /// Without momentum, `velocity` is neither read nor written.
  DLCUDA_HD void operator()(T& parameter, T gradient, T& velocity) const {
    T step = gradient + weight_decay * parameter;
    if (momentum != T(0)) {
      velocity = momentum * velocity + step;
      step = nesterov ? step + momentum * velocity : velocity;
    }
    parameter -= lr * step;
  }
};

template <typename T>
struct AdamUpdate {
  T lr, beta1, beta2, epsilon, weight_decay;
  T correction1, correction2;  ///< 1 - beta^step

  DLCUDA_HD void operator()(T& parameter, T gradient, T& first, T& second) const {
    const T g = gradient + weight_decay * parameter;
    first = beta1 * first + (T(1) - beta1) * g;
    second = beta2 * second + (T(1) - beta2) * g * g;
    const T denominator = functors::sqrt(second / correction2) + epsilon;
    parameter -= lr * (first / correction1) / denominator;
  }
};

}  // namespace dlcuda::functors

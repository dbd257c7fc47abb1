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
struct RmsPropUpdate {
  T lr, alpha, epsilon, momentum, weight_decay;

  /// Without momentum, `velocity` is neither read nor written.
  DLCUDA_HD void operator()(T& parameter, T gradient, T& square, T& velocity) const {
    const T g = gradient + weight_decay * parameter;
    square = alpha * square + (T(1) - alpha) * g * g;
    T step = g / (functors::sqrt(square) + epsilon);
    if (momentum != T(0)) {
      velocity = momentum * velocity + step;
      step = velocity;
    }
    parameter -= lr * step;
  }
};

template <typename T>
struct AdamUpdate {
  T lr, beta1, beta2, epsilon;
  T added_decay, kept;         ///< weight decay of the gradient; share of the parameter that stays
  T correction1, correction2;  ///< 1 - beta^step

  AdamUpdate() = default;
  template <typename Params>
  DLCUDA_HD AdamUpdate(T rate, const Params& params, double step)
      : lr(rate),
        beta1(T(params.beta1)),
        beta2(T(params.beta2)),
        epsilon(T(params.epsilon)),
        added_decay(params.decoupled ? T(0) : T(params.weight_decay)),
        kept(params.decoupled ? T(1) - rate * T(params.weight_decay) : T(1)),
        correction1(T(1.0 - ::pow(params.beta1, step))),
        correction2(T(1.0 - ::pow(params.beta2, step))) {}

  DLCUDA_HD void operator()(T& parameter, T gradient, T& first, T& second) const {
    const T g = gradient + added_decay * parameter;
    first = beta1 * first + (T(1) - beta1) * g;
    second = beta2 * second + (T(1) - beta2) * g * g;
    const T denominator = functors::sqrt(second / correction2) + epsilon;
    parameter = kept * parameter - lr * (first / correction1) / denominator;
  }
};

}  // namespace dlcuda::functors

// Terms of losses and their gradients by the prediction. T: float or double.
#pragma once

#include "dlcuda/kernels/elementwise_loss.h"
#include "dlcuda/kernels/functors/math.h"

namespace dlcuda::functors {

template <typename T>
struct SquaredLoss {
  DLCUDA_HD T value(T x, T t, T) const { return (x - t) * (x - t); }
  DLCUDA_HD T gradient(T x, T t, T) const { return T(2) * (x - t); }
};

/// beta 0: the absolute difference.
template <typename T>
struct SmoothL1Loss {
  T beta;
  DLCUDA_HD T value(T x, T t, T) const {
    const T d = x < t ? t - x : x - t;
    return d < beta ? T(0.5) * d * d / beta : d - T(0.5) * beta;
  }
  DLCUDA_HD T gradient(T x, T t, T) const {
    const T d = x - t;
    if (d > -beta && d < beta) return d / beta;
    return d > T(0) ? T(1) : (d < T(0) ? T(-1) : T(0));
  }
};

/// log(1 + e^-x) without overflow.
template <typename T>
DLCUDA_HD T softplus_of_minus(T x) {
  const T magnitude = x < T(0) ? -x : x;
  return functors::log1p(functors::exp(-magnitude)) + (x < T(0) ? -x : T(0));
}

template <typename T>
struct BinaryCrossEntropyLoss {
  DLCUDA_HD T value(T x, T t, T weight) const {
    return (T(1) - t) * x + (T(1) + (weight - T(1)) * t) * softplus_of_minus(x);
  }
  DLCUDA_HD T gradient(T x, T t, T weight) const {
    return (T(1) + (weight - T(1)) * t) * sigmoid(x) - weight * t;
  }
};

template <typename T>
struct FocalLoss {
  T gamma, alpha;
  DLCUDA_HD T weight(T t) const { return alpha < T(0) ? T(1) : alpha * t + (T(1) - alpha) * (T(1) - t); }
  /// What the prediction is short of certainty.
  DLCUDA_HD static T miss(T s, T t) { return T(1) - (s * t + (T(1) - s) * (T(1) - t)); }
  DLCUDA_HD T value(T x, T t, T) const {
    const T entropy = (T(1) - t) * x + softplus_of_minus(x);
    return weight(t) * entropy * functors::pow(miss(sigmoid(x), t), gamma);
  }
  DLCUDA_HD T gradient(T x, T t, T) const {
    const T s = sigmoid(x), m = miss(s, t), entropy = (T(1) - t) * x + softplus_of_minus(x);
    const T slope = s * (T(1) - s) * (T(2) * t - T(1));  // of p
    // Without a miss there is no slope either, whatever a power below 1 makes of it.
    const T bend = m > T(0) && gamma > T(0) ? gamma * functors::pow(m, gamma - T(1)) * slope * entropy : T(0);
    return weight(t) * ((s - t) * functors::pow(m, gamma) - bend);
  }
};

template <typename T, typename Body>
DLCUDA_INLINE void visit_element_loss(const kernels::ElementLossParams& params, const Body& body) {
  using kernels::ElementLoss;
  switch (params.kind) {
    case ElementLoss::Squared:
      return body(SquaredLoss<T>{});
    case ElementLoss::Absolute:
      return body(SmoothL1Loss<T>{T(0)});
    case ElementLoss::SmoothL1:
      return body(SmoothL1Loss<T>{static_cast<T>(params.beta)});
    case ElementLoss::BinaryCrossEntropy:
      return body(BinaryCrossEntropyLoss<T>{});
    case ElementLoss::Focal:
      return body(FocalLoss<T>{static_cast<T>(params.gamma), static_cast<T>(params.alpha)});
  }
}

}  // namespace dlcuda::functors

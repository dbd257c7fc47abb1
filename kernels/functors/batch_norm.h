// Batch normalisation of one element, with an activation that follows it. T: float or double.
#pragma once

#include "dlcuda/kernels/functors/activation.h"

namespace dlcuda::functors {

/// What the elements of a channel share in the forward pass.
template <typename T>
struct ChannelScale {
  T mean, scale, bias;
  ChannelScale() = default;
  DLCUDA_HD ChannelScale(T mean_, T inverse_std, T weight, T bias_)
      : mean(mean_), scale(inverse_std * weight), bias(bias_) {}
  DLCUDA_HD T operator()(T x) const { return (x - mean) * scale + bias; }
};

/// And in the backward pass: dx = scale * (g - mean of g - normalised x * mean of g * normalised x). The
/// means are 0 where the statistics do not depend on x.
template <typename T>
struct ChannelGradient {
  T mean, scale, mean_g, slope;
  ChannelGradient() = default;
  DLCUDA_HD ChannelGradient(T mean_, T inverse_std, T weight, T dweight, T dbias, T count, bool training)
      : mean(mean_),
        scale(inverse_std * weight),
        mean_g(training ? dbias / count : T(0)),
        slope(training ? dweight / count * inverse_std : T(0)) {}
  DLCUDA_HD T operator()(T g, T x) const { return scale * (g - mean_g - (x - mean) * slope); }
};

template <typename T>
DLCUDA_HD void move_towards(T& running, T value, T momentum) {
  running = (T(1) - momentum) * running + momentum * value;
}

}  // namespace dlcuda::functors

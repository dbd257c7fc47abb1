// Batch normalisation of one element, with an activation that follows it. T: float or double.
#pragma once

#include "dlcuda/kernels/batch_norm.h"
#include "dlcuda/kernels/functors/activation.h"
#include "dlcuda/kernels/functors/moments.h"

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

/// From the sums over `count` values and over their squares, whose difference rounding may bring below 0.
template <typename T>
DLCUDA_HD Moments<T> moments_of_totals(T sum, T squares, T count) {
  const T mean = sum / count, deviations = squares - sum * mean;
  return {count, mean, deviations < T(0) ? T(0) : deviations};  // NaN stays
}

/// A channel of batch_norm_from_totals(). C: of the statistics; T: of scale and shift.
template <typename T, typename C>
struct NormFromTotals {
  const C *sum, *squares, *weight, *bias;
  C count, epsilon, momentum;
  C *running_mean, *running_var;
  std::int64_t* batches;
  C *mean, *inverse_std;
  T *scale, *shift;

  NormFromTotals(const kernels::TotalsViews& v, const kernels::BatchNormParams& params)
      : sum(v.sum.as<const C>()),
        squares(v.squares.as<const C>()),
        weight(v.weight.as<const C>()),
        bias(v.bias.as<const C>()),
        count(static_cast<C>(v.count)),
        epsilon(static_cast<C>(params.epsilon)),
        momentum(static_cast<C>(params.momentum)),
        running_mean(v.running_mean.as<C>()),
        running_var(v.running_var.as<C>()),
        batches(v.batches.as<std::int64_t>()),
        mean(v.mean.as<C>()),
        inverse_std(v.inverse_std.as<C>()),
        scale(v.scale.as<T>()),
        shift(v.shift.as<T>()) {}

  DLCUDA_HD void operator()(std::int64_t c) const {
    const Moments<C> moments = moments_of_totals(sum[c], squares[c], count);
    mean[c] = moments.mean;
    inverse_std[c] = moments.inverse_std(epsilon);
    if (running_mean != nullptr) {
      move_towards(running_mean[c], moments.mean, momentum);
      move_towards(running_var[c], moments.unbiased_variance(), momentum);
    }
    if (scale != nullptr) {
      const C factor = weight[c] * inverse_std[c];
      scale[c] = T(factor);
      shift[c] = T(bias[c] - moments.mean * factor);
    }
    if (batches != nullptr && c == 0) ++*batches;
  }
};

}  // namespace dlcuda::functors

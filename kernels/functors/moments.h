// Mean and variance of many values from those of their parts. T: float or double.
//
// Sums of squares would lose every digit where values are large beside their spread, also after a guess at
// the mean was taken off them: the guess may be an outlier. Parts are therefore reduced around means of their
// own, and merged exactly (Chan, Golub & LeVeque, 1979).
#pragma once

#include "dlcuda/kernels/functors/math.h"

namespace dlcuda::functors {

template <typename T>
struct Moments {
  T count = 0, mean = 0;
  T squares = 0;  ///< the sum of (x - mean)^2

  /// Of the first `n` of kAtOnce values.
  template <int kAtOnce>
  DLCUDA_HD static Moments of(const T (&x)[kAtOnce], int n) {
    if (n == 0) return {};
    T sum = 0, squares = 0;
    for (int i = 0; i < kAtOnce; ++i) sum += i < n ? x[i] : T(0);
    const T mean = sum / T(n);
    for (int i = 0; i < kAtOnce; ++i) squares += i < n ? (x[i] - mean) * (x[i] - mean) : T(0);
    return {T(n), mean, squares};
  }
  DLCUDA_HD void merge(const Moments& other) {
    if (other.count == T(0)) return;
    const T all = count + other.count, delta = other.mean - mean, share = other.count / all;
    mean += delta * share;
    squares += other.squares + delta * delta * count * share;
    count = all;
  }
  DLCUDA_HD T variance() const { return squares / count; }
  DLCUDA_HD T unbiased_variance() const { return squares / (count - T(1)); }
  DLCUDA_HD T inverse_std(T epsilon) const { return T(1) / functors::sqrt(variance() + epsilon); }
};

}  // namespace dlcuda::functors

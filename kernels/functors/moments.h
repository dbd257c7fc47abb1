// Mean and variance of many values from those of their parts. T: float or double.
//
// Sums of squares would lose every digit where values are large beside their spread, also after a guess at
// the mean was taken off them: the guess may be an outlier. Parts are therefore reduced around means of their
// own, and merged exactly (Chan, Golub & LeVeque, 1979). A guess is taken off all the same, since a large
// mean would cost the means of the parts their digits.
#pragma once

#include <cstdint>

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
    merge(other, other.count / (count + other.count));
  }
  /// Where other's share in both together is known: of many parts of one size, one division tells it for all.
  DLCUDA_HD void merge(const Moments& other, T share) {
    const T delta = other.mean - mean;
    mean += delta * share;
    squares += other.squares + delta * delta * count * share;
    count += other.count;
  }
  DLCUDA_HD T variance() const { return squares / count; }
  DLCUDA_HD T unbiased_variance() const { return squares / (count - T(1)); }
  DLCUDA_HD T inverse_std(T epsilon) const { return T(1) / functors::sqrt(variance() + epsilon); }
};

/// The guess at the mean of channel c of (outer, channels, inner): the median of its first, middle and last
/// value.
template <typename C, typename T>
DLCUDA_HD C guess_mean(const T* x, std::int64_t outer, std::int64_t channels, std::int64_t inner,
                       std::int64_t c) {
  const std::int64_t plane = channels * inner;
  const T* begin = x + c * inner;
  const C first = static_cast<C>(begin[0]), middle = static_cast<C>(begin[outer / 2 * plane + inner / 2]),
          last = static_cast<C>(begin[(outer - 1) * plane + inner - 1]);
  const C low = first < last ? first : last, high = first < last ? last : first;
  return middle < low ? low : high < middle ? high : middle;
}

}  // namespace dlcuda::functors

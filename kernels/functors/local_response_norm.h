// Local response normalisation around one channel. The channels of a pixel lie `step` apart. C: float or
// double.
#pragma once

#include "dlcuda/kernels/functors/math.h"
#include "dlcuda/kernels/local_response_norm.h"

namespace dlcuda::functors {

template <typename C>
struct ResponseWindow {
  std::int64_t channels, step, before, behind;
  C rate, beta, k;  ///< rate: alpha / size

  DLCUDA_HD ResponseWindow(std::int64_t channels_, std::int64_t step_,
                           const kernels::LocalResponseNormParams& params)
      : channels(channels_),
        step(step_),
        before(params.size / 2),
        behind((params.size - 1) / 2),
        rate(static_cast<C>(params.alpha / static_cast<double>(params.size))),
        beta(static_cast<C>(params.beta)),
        k(static_cast<C>(params.k)) {}

  /// d of channel c; `pixel` points at channel 0.
  template <typename T>
  DLCUDA_HD C scale(const T* pixel, std::int64_t c) const {
    const std::int64_t begin = c - before < 0 ? 0 : c - before;
    const std::int64_t end = c + behind < channels - 1 ? c + behind : channels - 1;
    C squares = 0;
    for (std::int64_t j = begin; j <= end; ++j) {
      const C value = static_cast<C>(pixel[j * step]);
      squares += value * value;
    }
    return k + rate * squares;
  }
  /// What channel j gives to gradients: to its own channel, and to all of its window.
  struct Share {
    C own, through;
  };
  template <typename T>
  DLCUDA_HD Share share(const T* dy, const T* pixel, std::int64_t j) const {
    const C d = scale(pixel, j), own = static_cast<C>(dy[j * step]) * functors::pow(d, -beta);
    return {own, own * static_cast<C>(pixel[j * step]) / d};
  }
  /// The channels whose windows hold channel c: first, one past the last.
  DLCUDA_HD std::int64_t first_sharing(std::int64_t c) const { return c - behind < 0 ? 0 : c - behind; }
  DLCUDA_HD std::int64_t end_sharing(std::int64_t c) const {
    return c + before < channels - 1 ? c + before + 1 : channels;
  }
  /// dx of a channel whose value is x, from its own share and the sum of those of first_sharing() on.
  DLCUDA_HD C gradient_of(C x, C own, C through) const { return own - C(2) * rate * beta * x * through; }

  template <typename T>
  DLCUDA_HD C gradient(const T* dy, const T* pixel, std::int64_t c) const {
    C through = 0, own = 0;
    for (std::int64_t j = first_sharing(c); j < end_sharing(c); ++j) {
      const Share from = share(dy, pixel, j);
      through += from.through;
      if (j == c) own = from.own;
    }
    return gradient_of(static_cast<C>(pixel[c * step]), own, through);
  }
};

}  // namespace dlcuda::functors

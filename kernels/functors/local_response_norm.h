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
  /// dx of channel c: through its own output, and through those whose window it is in.
  template <typename T>
  DLCUDA_HD C gradient(const T* dy, const T* pixel, std::int64_t c) const {
    const std::int64_t begin = c - behind < 0 ? 0 : c - behind;
    const std::int64_t end = c + before < channels - 1 ? c + before : channels - 1;
    C through = 0, own = 0;
    for (std::int64_t j = begin; j <= end; ++j) {
      const C d = scale(pixel, j), power = functors::pow(d, -beta), g = static_cast<C>(dy[j * step]) * power;
      through += g * static_cast<C>(pixel[j * step]) / d;
      if (j == c) own = g;
    }
    return own - C(2) * rate * beta * static_cast<C>(pixel[c * step]) * through;
  }
};

}  // namespace dlcuda::functors

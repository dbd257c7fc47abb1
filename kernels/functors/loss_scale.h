// The arithmetic of a dynamic loss scale.
#pragma once

#include <cstdint>

#include "dlcuda/core/macros.h"

namespace dlcuda::functors {

/// Infinity minus itself is NaN, and NaN equals nothing.
template <typename T>
DLCUDA_HD bool is_finite(T x) {
  return x - x == T(0);
}

/// See kernels/loss_scale.h. counts[0]: steps since the scale has changed; counts[1]: steps left out.
template <typename Params>
DLCUDA_HD void settle_loss_scale(bool finite, float& scale, float& unscale, std::int64_t* counts,
                                 const Params& params) {
  constexpr float kSmallest = 0x1p-126f;
  unscale = finite ? 1.0f / scale : 0.0f;
  float next = scale;
  if (!finite) {
    next = scale * static_cast<float>(params.backoff);
    counts[0] = 0;
    ++counts[1];
  } else if (++counts[0] == params.interval) {
    next = scale * static_cast<float>(params.growth);
    counts[0] = 0;
  }
  if (is_finite(next) && next >= kSmallest) scale = next;
}

}  // namespace dlcuda::functors

// Dropout (Srivastava et al., 2014), inverted: kept elements are scaled by 1 / (1 - p). No mask is stored:
// the backward pass draws the same Philox numbers again.
#pragma once

#include "dlcuda/kernels/random.h"

namespace dlcuda {
namespace kernels DLCUDA_API {

struct DropoutParams {
  double p = 0.5;   ///< probability of dropping an element; 0 <= p <= 1
  RandomCall call;  ///< Philox counter: (physical index / 4, call.ordinal, *call.step); word index % 4
};

/// y = keep ? x / (1 - p) : 0, where keep = (random u32 >= round(p * 2^32)). Applied to dy it is the backward
/// pass. Dense x, floating-point. The same bits on the CPU and on every GPU.
Tensor dropout(const Tensor& x, const DropoutParams& params);

DLCUDA_LOOP_BACKENDS(void dropout(const TensorView& x, const TensorView& y, const DropoutParams& params);)

}  // namespace kernels
}  // namespace dlcuda

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

/// The same with one decision for each (n, c) of (N, C, ...): whole planes are kept or dropped (Tompson et
/// al., 2015). Their number in the counter is n * C + c, so the mask does not depend on the memory format.
Tensor channel_dropout(const Tensor& x, const DropoutParams& params);

/// The same with one decision for each sample of (N, ...), whose number in the counter is n.
Tensor sample_dropout(const Tensor& x, const DropoutParams& params);

DLCUDA_LOOP_BACKENDS(
    void dropout(const TensorView& x, const TensorView& y, const DropoutParams& params);
    // x and y as (outer, C, inner) in the order of memory; outer: pixels of `samples` samples.
    void channel_dropout(const TensorView& x, const TensorView& y, std::int64_t samples,
                         const DropoutParams& params);)

}  // namespace kernels
}  // namespace dlcuda

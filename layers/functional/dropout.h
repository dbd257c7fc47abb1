// Dropout. See layers/functional.h.
#pragma once

#include "dlcuda/kernels/random.h"

namespace dlcuda {
namespace functional DLCUDA_API {

/// In training, drops each element with probability p and scales the others by 1 / (1 - p); otherwise x
/// itself. The mask is drawn again by backward(), which must come before generator.advance_step(); it throws
/// Error otherwise.
Tensor dropout(const Tensor& x, double p, bool training, kernels::Generator& generator);
/// The same with one decision for each channel of each sample of (N, C, ...).
Tensor channel_dropout(const Tensor& x, double p, bool training, kernels::Generator& generator);
/// The same with one decision for each sample of (N, ...): stochastic depth (Huang et al., 2016), for the
/// branch beside a residual connection.
Tensor sample_dropout(const Tensor& x, double p, bool training, kernels::Generator& generator);

}  // namespace functional
}  // namespace dlcuda

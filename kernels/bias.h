// One value a channel, added to every element of the channel, and its gradient. Axis 1 is the channel axis;
// rank >= 2.
#pragma once

#include "dlcuda/kernels/backend.h"

namespace dlcuda {
namespace kernels DLCUDA_API {

/// x[n, c, ...] + bias[c]; dense x of any format.
Tensor bias_add(const Tensor& x, const Tensor& bias);

/// db[c] = the sum of dy over all axes but 1. Fixed order: the same bits every run.
Tensor bias_backward(const Tensor& dy);

// y may be x.
DLCUDA_LOOP_BACKENDS(void bias_add(const TensorView& x, const TensorView& bias, const TensorView& y);
                     void bias_backward(const TensorView& dy, const TensorView& db);)

}  // namespace kernels
}  // namespace dlcuda

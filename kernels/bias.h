// One value a channel, added to every element of the channel, and its gradient. Axis 1 is the channel axis;
// rank >= 2.
#pragma once

#include "dlcuda/kernels/activation.h"

namespace dlcuda {
namespace kernels DLCUDA_API {

/// x[n, c, ...] + bias[c]; dense x of any format.
Tensor bias_add(const Tensor& x, const Tensor& bias);

/// db[c] = the sum of dy over all axes but 1. Fixed order: the same bits every run.
Tensor bias_backward(const Tensor& dy);

struct ActivationBiasGradients {
  Tensor x, bias;
};
/// Of y = f(x + bias): dx = dy f'(y) and db = the sum of that over all axes but 1, in one pass over dy and y.
/// For activations whose backward pass reads the output. Fixed order.
ActivationBiasGradients activation_bias_backward(const Tensor& dy, const Tensor& y,
                                                 const ActivationParams& activation);

// y may be x. In activation_bias_backward all but db are (outer, C, inner) in the order of memory.
DLCUDA_LOOP_BACKENDS(void bias_add(const TensorView& x, const TensorView& bias, const TensorView& y);
                     void bias_backward(const TensorView& dy, const TensorView& db);
                     void activation_bias_backward(const TensorView& dy, const TensorView& y,
                                                   const TensorView& dx, const TensorView& db,
                                                   const ActivationParams& activation);)

}  // namespace kernels
}  // namespace dlcuda

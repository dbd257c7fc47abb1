// Activations and softmax. See layers/functional.h.
#pragma once

#include "dlcuda/kernels/activation.h"

namespace dlcuda {
namespace functional DLCUDA_API {

using kernels::Activation;
using kernels::ActivationParams;

Tensor activation(const Tensor& x, const ActivationParams& params);
Tensor sigmoid(const Tensor& x);
Tensor tanh(const Tensor& x);
Tensor relu(const Tensor& x);
Tensor relu6(const Tensor& x);
Tensor leaky_relu(const Tensor& x, float slope = 0.01f);
Tensor elu(const Tensor& x, float alpha = 1.0f);
Tensor silu(const Tensor& x);
Tensor gelu(const Tensor& x);
Tensor gelu_tanh(const Tensor& x);
Tensor hard_sigmoid(const Tensor& x);
Tensor hard_swish(const Tensor& x);
Tensor softplus(const Tensor& x, float beta = 1.0f, float threshold = 20.0f);

/// exp(x) / sum exp(x), and its logarithm, along an axis (negative ones count from the end).
Tensor softmax(const Tensor& x, int axis = -1);
Tensor log_softmax(const Tensor& x, int axis = -1);

}  // namespace functional
}  // namespace dlcuda

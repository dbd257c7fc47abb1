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
Tensor leaky_relu(const Tensor& x, float slope = 0.01f);
/// Over the last axis.
Tensor softmax(const Tensor& x);

}  // namespace functional
}  // namespace dlcuda

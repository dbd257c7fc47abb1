// Element-wise activations: sigmoid, tanh, ReLU, leaky ReLU. Floating-point dtypes, any shape, dense memory.
#pragma once

#include <cstdint>

#include "dlcuda/kernels/backend.h"

namespace dlcuda {
namespace kernels DLCUDA_API {

enum class Activation : std::uint8_t { Sigmoid, Tanh, Relu, LeakyRelu };

struct ActivationParams {
  Activation kind = Activation::Relu;
  float slope =
      0.01f;  ///< of LeakyRelu for x < 0; not negative, because the backward pass reads the sign off y
};

/// y = f(x), with x's shape and format.
Tensor activation_forward(const Tensor& x, const ActivationParams& params);

/// dx = dy * f'(x), from the output y alone. The gradient of ReLU and leaky ReLU at 0 is that of the negative
/// side, as in PyTorch. dy and y must have the same shape, dtype and format.
Tensor activation_backward(const Tensor& dy, const Tensor& y, const ActivationParams& params);

DLCUDA_LOOP_BACKENDS(void activation_forward(const TensorView& x, const TensorView& y,
                                             const ActivationParams& params);
                     void activation_backward(const TensorView& dy, const TensorView& y, const TensorView& dx,
                                              const ActivationParams& params);)

}  // namespace kernels
}  // namespace dlcuda

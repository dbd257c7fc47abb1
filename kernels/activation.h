// Element-wise activations. Floating-point dtypes, any shape, dense memory.
#pragma once

#include <cstdint>

#include "dlcuda/kernels/backend.h"

namespace dlcuda {
namespace kernels DLCUDA_API {

enum class Activation : std::uint8_t {
  Identity,
  Sigmoid,
  Tanh,
  Relu,
  Relu6,        ///< min(max(x, 0), 6)
  LeakyRelu,    ///< x, or slope * x where x < 0
  Elu,          ///< x, or alpha * (e^x - 1) where x < 0 (Clevert et al., 2016)
  Silu,         ///< x * sigmoid(x), also called swish (Ramachandran et al., 2017)
  Gelu,         ///< x * P(normal < x) (Hendrycks & Gimpel, 2016)
  GeluTanh,     ///< its approximation by tanh
  HardSigmoid,  ///< min(max(x + 3, 0), 6) / 6 (Howard et al., 2019)
  HardSwish,    ///< x * HardSigmoid
  Softplus      ///< log(1 + e^(beta x)) / beta, or x where beta x > threshold
};

struct ActivationParams {
  Activation kind = Activation::Relu;
  /// Of LeakyRelu; not negative, because the backward pass reads the sign off y.
  float slope = 0.01f;
  float alpha = 1.0f;       ///< of Elu; not negative, for the same reason
  float beta = 1.0f;        ///< of Softplus; positive
  float threshold = 20.0f;  ///< of Softplus
};

/// What the backward pass is computed from: the input for Silu, Gelu, GeluTanh, HardSwish and Softplus, the
/// output for all others (the input need not be kept then).
bool activation_saves_input(Activation kind);

/// y = f(x), with x's shape and format.
Tensor activation_forward(const Tensor& x, const ActivationParams& params);

/// dx = dy * f'(x), from x or y as activation_saves_input() says. At a kink the gradient is that of the flat
/// or negative side, as in PyTorch: 0 for ReLU at 0, and for ReLU6 at 0 and 6. dy and `saved` must have the
/// same shape, dtype and format.
Tensor activation_backward(const Tensor& dy, const Tensor& saved, const ActivationParams& params);

DLCUDA_LOOP_BACKENDS(void activation_forward(const TensorView& x, const TensorView& y,
                                             const ActivationParams& params);
                     void activation_backward(const TensorView& dy, const TensorView& saved,
                                              const TensorView& dx, const ActivationParams& params);)

}  // namespace kernels
}  // namespace dlcuda

// A linear layer with its bias and activation, and all its gradients, each in one call:
//
//   y = f(x weight^T + bias)
//
//   g = dy f'(y);   dx = g weight;   dweight = g^T x;   dbias = the sum of g's rows
//
// For layers whose products are so small that starting several of them takes longer than computing them;
// large ones are kernels/matmul.h's. Sums in f32 (f64 with f64) in a fixed order, which neither the thread
// count nor the other rows change; g is not rounded to 16 bits in between.
#pragma once

#include "dlcuda/kernels/activation.h"

namespace dlcuda {
namespace kernels DLCUDA_API {

/// Whether a layer x (N, I), weight (O, I), bias (O) or undefined runs fastest in these calls: few
/// products, of a dtype that the device has loops of ours for. False also for what no linear layer takes.
bool is_small_linear(const Tensor& x, const Tensor& weight, const Tensor& bias);

/// x (N, I), weight (O, I), bias (O) or undefined -> (N, O). Contiguous, floating-point, one dtype. Any
/// activation. Any size.
Tensor linear_forward(const Tensor& x, const Tensor& weight, const Tensor& bias,
                      const ActivationParams& activation);

struct LinearBackward {
  Tensor dy;      ///< (N, O)
  Tensor y;       ///< like dy; may be undefined where the activation is Identity
  Tensor x;       ///< (N, I); undefined where the weight's gradient is not wanted
  Tensor weight;  ///< (O, I); undefined where that of x is not wanted
  bool with_bias = true;
};
struct LinearGradients {
  Tensor x, weight, bias;  ///< undefined where not wanted
};
/// For activations whose backward pass reads the output. Throws ArgumentError for the others.
LinearGradients linear_backward(const LinearBackward& layer, const ActivationParams& activation);

// A null pointer in bias, y, x, weight, dx, dw or db means none. dx comes with weight, dw with x.
DLCUDA_LOOP_BACKENDS(void linear_forward(const TensorView& x, const TensorView& weight,
                                         const TensorView& bias, const TensorView& y,
                                         const ActivationParams& activation);
                     void linear_backward(const TensorView& dy, const TensorView& y, const TensorView& x,
                                          const TensorView& weight, const TensorView& dx,
                                          const TensorView& dw, const TensorView& db,
                                          const ActivationParams& activation);)

}  // namespace kernels
}  // namespace dlcuda

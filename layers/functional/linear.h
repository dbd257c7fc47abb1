// Products of matrices, bias. See layers/functional.h.
#pragma once

#include "dlcuda/kernels/activation.h"

namespace dlcuda {
namespace functional DLCUDA_API {

/// x (N, I), weight (O, I), bias (O) or undefined -> (N, O).
Tensor linear(const Tensor& x, const Tensor& weight, const Tensor& bias = {});
/// activation(linear(...)) as one step, whose backward pass computes the gradients through the activation and
/// of the bias together.
Tensor linear_activation(const Tensor& x, const Tensor& weight, const Tensor& bias,
                         const kernels::ActivationParams& activation);
/// (M, K) x (K, N) -> (M, N), or a batch: (B, M, K) x (B, K, N) -> (B, M, N); b may be one matrix for all of
/// a's.
Tensor matmul(const Tensor& a, const Tensor& b);
/// g[n, i, j] = the sum over positions of x[n, i, ...] x[n, j, ...]: (N, C, ...) -> (N, C, C). The style of
/// Gatys et al. (2015); nothing is divided.
Tensor gram_matrix(const Tensor& x);
/// x[n, c, ...] + bias[c]
Tensor bias_add(const Tensor& x, const Tensor& bias);

}  // namespace functional
}  // namespace dlcuda

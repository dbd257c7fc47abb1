// Products of matrices, bias. See layers/functional.h.
#pragma once

#include "dlcuda/core/tensor.h"

namespace dlcuda {
namespace functional DLCUDA_API {

/// x (N, I), weight (O, I), bias (O) or undefined -> (N, O).
Tensor linear(const Tensor& x, const Tensor& weight, const Tensor& bias = {});
/// (M, K) x (K, N) -> (M, N)
Tensor matmul(const Tensor& a, const Tensor& b);
/// x[n, c, ...] + bias[c]
Tensor bias_add(const Tensor& x, const Tensor& bias);

}  // namespace functional
}  // namespace dlcuda

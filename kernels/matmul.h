// Matrix product. CPU: oneDNN (f32, bf16; f16 through f32) and a reference implementation (f64). CUDA:
// cuBLASLt.
#pragma once

#include "dlcuda/kernels/backend.h"

namespace dlcuda {
namespace kernels DLCUDA_API {

struct MatmulParams {
  bool transpose_a = false;
  bool transpose_b = false;
};

/// op(a) op(b) + bias: (M, K) x (K, N) -> (M, N), contiguous, one dtype; bias (N) is added to every row and
/// may be undefined. An empty K gives the bias.
Tensor matmul(const Tensor& a, const Tensor& b, const Tensor& bias = {}, const MatmulParams& params = {});

// A null pointer in bias.data means none.
DLCUDA_BACKENDS(void matmul(const TensorView& a, const TensorView& b, const TensorView& bias,
                            const TensorView& out, const MatmulParams& params);)

}  // namespace kernels
}  // namespace dlcuda

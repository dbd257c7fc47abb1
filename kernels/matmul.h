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

/// op(a) op(b) + bias: (M, K) x (K, N) -> (M, N), or a batch of them: (B, M, K) x (B, K, N) -> (B, M, N),
/// where b may also be one matrix (K, N) for all. Contiguous, one dtype; bias (N) is added to every row and
/// may be undefined. An empty K gives the bias.
Tensor matmul(const Tensor& a, const Tensor& b, const Tensor& bias = {}, const MatmulParams& params = {});

/// y[n, i, j] = the sum over positions of x[n, i, ...] x[n, j, ...]: (N, C, ...) -> (N, C, C). x dense, in
/// either format.
Tensor gram_matrix_forward(const Tensor& x);
/// dx[n] = (dy[n] + dy[n]^T) x[n], in x's format.
Tensor gram_matrix_backward(const Tensor& dy, const Tensor& x);

// A null pointer in bias.data means none. a, b and out are all of rank 2, or all of rank 3.
DLCUDA_BACKENDS(void matmul(const TensorView& a, const TensorView& b, const TensorView& bias,
                            const TensorView& out, const MatmulParams& params);)

}  // namespace kernels
}  // namespace dlcuda

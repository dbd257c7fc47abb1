// Softmax and its logarithm along an axis of a dense tensor; stable at any input.
#pragma once

#include "dlcuda/kernels/backend.h"

namespace dlcuda {
namespace kernels DLCUDA_API {

/// y = exp(x - max) / sum exp(x - max) along `axis` (negative ones count from the end), in x's format. A row
/// of -inf alone gives NaN, as in PyTorch.
Tensor softmax_forward(const Tensor& x, int axis = -1);
/// dx = y * (dy - sum(dy * y))
Tensor softmax_backward(const Tensor& dy, const Tensor& y, int axis = -1);

/// y = x - max - log sum exp(x - max)
Tensor log_softmax_forward(const Tensor& x, int axis = -1);
/// dx = dy - exp(y) * sum(dy)
Tensor log_softmax_backward(const Tensor& dy, const Tensor& y, int axis = -1);

// All as (outer, n, inner), contiguous; the softmax runs over n.
DLCUDA_LOOP_BACKENDS(void softmax_forward(const TensorView& x, const TensorView& y, bool log);
                     void softmax_backward(const TensorView& dy, const TensorView& y, const TensorView& dx,
                                           bool log);)

}  // namespace kernels
}  // namespace dlcuda

// Softmax over the last axis of a contiguous tensor; stable at any input.
#pragma once

#include "dlcuda/kernels/backend.h"

namespace dlcuda {
namespace kernels DLCUDA_API {

/// y = exp(x - max) / sum exp(x - max), row by row.
Tensor softmax_forward(const Tensor& x);
/// dx = y * (dy - sum(dy * y)), row by row.
Tensor softmax_backward(const Tensor& dy, const Tensor& y);

DLCUDA_LOOP_BACKENDS(void softmax_forward(const TensorView& x, const TensorView& y);
                     void softmax_backward(const TensorView& dy, const TensorView& y, const TensorView& dx);)

}  // namespace kernels
}  // namespace dlcuda

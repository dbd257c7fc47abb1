// The gradient of a convolution's weight as one product of matrices, in bf16. Internal.
#pragma once

#include "dlcuda/kernels/conv2d.h"

namespace dlcuda::kernels::cpu {

/// Whether product_backward_weight() takes this one, and is quicker than oneDNN's convolution.
bool product_suits(const TensorView& x, const TensorView& dy, const TensorView& dw, const TensorView& db,
                   const Conv2dParams& params);

/// dw as of conv2d_backward_weight(), overwritten.
void product_backward_weight(const TensorView& x, const TensorView& dy, const TensorView& dw,
                             const Conv2dParams& params);

}  // namespace dlcuda::kernels::cpu

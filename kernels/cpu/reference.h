// The plain f64 implementation that gradient checks and the oneDNN paths are held against.
#pragma once

#include "dlcuda/kernels/conv2d.h"
#include "dlcuda/kernels/matmul.h"

namespace dlcuda::kernels::cpu::reference {

void conv2d_forward(const TensorView& x, const TensorView& weight, const TensorView& bias,
                    const TensorView& y, const Conv2dParams& params);
void conv2d_backward_data(const TensorView& dy, const TensorView& weight, const TensorView& dx,
                          const Conv2dParams& params);
void conv2d_backward_weight(const TensorView& x, const TensorView& dy, const TensorView& dw,
                            const TensorView& db, const Conv2dParams& params);
void matmul(const TensorView& a, const TensorView& b, const TensorView& bias, const TensorView& out,
            const MatmulParams& params);

}  // namespace dlcuda::kernels::cpu::reference

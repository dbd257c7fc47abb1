// What every forward convolution asks of its arguments. Internal.
#pragma once

#include "dlcuda/kernels/checks.h"
#include "dlcuda/kernels/conv2d.h"

namespace dlcuda::kernels {

/// The output's shape. Leaves the bias's dtype to the caller.
Shape check_conv2d(const char* op, const Tensor& x, const Tensor& weight, const Tensor& bias,
                   const Conv2dParams& params);

}  // namespace dlcuda::kernels

// What every forward convolution asks of its arguments. Internal.
#pragma once

#include "dlcuda/kernels/checks.h"
#include "dlcuda/kernels/conv2d.h"

namespace dlcuda::kernels {

/// Dense, floating-point, (N, C, H, W).
void require_image(const char* op, const char* name, const Tensor& x);
/// (O, C / groups, KH, KW), with the dtype and device of `like`.
void require_weight(const char* op, const Tensor& weight, const char* like_name, const Tensor& like);

/// The output's shape. Leaves the bias's dtype to the caller.
Shape check_conv2d(const char* op, const Tensor& x, const Tensor& weight, const Tensor& bias,
                   const Conv2dParams& params);

}  // namespace dlcuda::kernels

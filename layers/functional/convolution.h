// Convolution. See layers/functional.h.
#pragma once

#include "dlcuda/kernels/conv2d.h"
#include "dlcuda/kernels/conv_transpose2d.h"

namespace dlcuda {
namespace functional DLCUDA_API {

using kernels::Conv2dParams;
using kernels::ConvTranspose2dParams;
using kernels::same_padding;
using kernels::valid_padding;

/// x (N, C, H, W), weight (O, C / groups, KH, KW), bias (O) or undefined -> (N, O, OH, OW), in x's format.
/// Padding in numbers is part of the parameters; same_padding(x.shape(), {kh, kw}, params) computes SAME.
Tensor conv2d(const Tensor& x, const Tensor& weight, const Tensor& bias = {},
              const Conv2dParams& params = {});

/// conv2d with one group for each channel of x, whatever params.groups says: weight (C * M, 1, KH, KW) makes
/// M outputs of each. By our own kernels on CUDA.
Tensor depthwise_conv2d(const Tensor& x, const Tensor& weight, const Tensor& bias = {},
                        Conv2dParams params = {});

/// x (N, C, H, W), weight (C, O / groups, KH, KW), bias (O) or undefined -> (N, O, OH, OW), in x's format.
Tensor conv_transpose2d(const Tensor& x, const Tensor& weight, const Tensor& bias = {},
                        const ConvTranspose2dParams& params = {});

}  // namespace functional
}  // namespace dlcuda

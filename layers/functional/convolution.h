// Convolution. See layers/functional.h.
#pragma once

#include "dlcuda/kernels/activation.h"
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

/// activation(conv2d(...)) as one step, whose backward pass computes the gradients through the activation and
/// of the bias together.
Tensor conv2d_activation(const Tensor& x, const Tensor& weight, const Tensor& bias,
                         const Conv2dParams& params, const kernels::ActivationParams& activation);

/// conv2d with one group for each channel of x, whatever params.groups says: weight (C * M, 1, KH, KW) makes
/// M outputs of each. By our own kernels on CUDA.
Tensor depthwise_conv2d(const Tensor& x, const Tensor& weight, const Tensor& bias = {},
                        Conv2dParams params = {});

/// x (N, C, H, W), weight (C, O / groups, KH, KW), bias (O) or undefined -> (N, O, OH, OW), in x's format.
Tensor conv_transpose2d(const Tensor& x, const Tensor& weight, const Tensor& bias = {},
                        const ConvTranspose2dParams& params = {});

/// concat({middle of skip, conv_transpose2d(x, ...)}, 1), written in place: what U-Net's steps upwards begin
/// with. skip (N, S, H', W') must be at least as large as the enlarged x (N, O, H, W), whose size is cut from
/// its middle (of an odd rest, one more pixel at the bottom and right): (N, S + O, H, W) in x's format.
/// whole: undefined, or what becomes the result, of which skip is the first channels already: nothing is
/// copied then, and skip's gradient is a channel slice, as skip is. Throws ArgumentError where it is not.
Tensor conv_transpose2d_concat(const Tensor& skip, const Tensor& x, const Tensor& weight, const Tensor& bias,
                               const ConvTranspose2dParams& params, const Tensor& whole = {});

}  // namespace functional
}  // namespace dlcuda

// Convolution. See layers/functional.h.
#pragma once

#include "dlcuda/kernels/conv2d.h"

namespace dlcuda {
namespace functional DLCUDA_API {

using kernels::Conv2dParams;

/// x (N, C, H, W), weight (O, C / groups, KH, KW), bias (O) or undefined -> (N, O, OH, OW), in x's format.
Tensor conv2d(const Tensor& x, const Tensor& weight, const Tensor& bias = {},
              const Conv2dParams& params = {});

}  // namespace functional
}  // namespace dlcuda

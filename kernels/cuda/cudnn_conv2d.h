// What cuDNN does of a convolution; kernels/cuda/conv2d.cpp sends here what is not done by hand. Arguments as
// in kernels/conv2d.h, but that weights and their gradients have the format of x and y. On the host shim
// plain loops stand in.
#pragma once

#include "dlcuda/kernels/activation.h"
#include "dlcuda/kernels/conv2d_norm.h"

namespace dlcuda::kernels::cuda {

/// A null pointer in bias.data means none.
void cudnn_conv2d_forward(const TensorView& x, const TensorView& weight, const TensorView& bias,
                          const TensorView& y, const Conv2dParams& params,
                          const ActivationParams& activation = {.kind = Activation::Identity});
void cudnn_conv2d_backward_data(const TensorView& dy, const TensorView& weight, const TensorView& dx,
                                const Conv2dParams& params);
void cudnn_conv2d_backward_weight(const TensorView& x, const TensorView& dy, const TensorView& dw,
                                  const Conv2dParams& params);

// Those of kernels/conv2d_norm.h; dx is the gradient by the norm's output, through the ReLU.
bool cudnn_conv2d_absorbs_norms(const Shape& x, const Shape& weight, const Shape& y, DType dtype,
                                const Conv2dParams& params, bool x_norm);
void cudnn_conv2d_norm_forward(const TensorView& x, const NormViews& norm, const TensorView& weight,
                               const TensorView& y, const TensorView& sum, const TensorView& squares,
                               const Conv2dParams& params);
void cudnn_conv2d_norm_backward_weight(const TensorView& x, const NormViews& norm, const TensorView& dy,
                                       const TensorView& dw, const Conv2dParams& params);
void cudnn_conv2d_norm_backward_data(const TensorView& dy, const TensorView& weight, const TensorView& x,
                                     const NormViews& norm, const TensorView& dx,
                                     const TensorView& dnorm_weight, const TensorView& dnorm_bias,
                                     const Conv2dParams& params);

}  // namespace dlcuda::kernels::cuda

// Depthwise convolution on CUDA: groups of one input channel each. kernels/cuda/conv2d.cpp and
// conv2d_norm.cpp send such convolutions here; shapes, formats and parameters are those of kernels/conv2d.h
// and conv2d_norm.h.
#pragma once

#include "dlcuda/kernels/conv2d_norm.h"

namespace dlcuda::kernels::cuda {

/// Output channel o belongs to input channel o / (O / C). With a single input channel it is an ordinary
/// convolution, which cuDNN does.
inline bool is_depthwise(const TensorView& weight, const Conv2dParams& params) {
  return params.groups > 1 && weight.shape[1] == 1;
}

/// The bias is added in the same pass; a null pointer in bias.data means none.
void depthwise_conv2d_forward(const TensorView& x, const TensorView& weight, const TensorView& bias,
                              const TensorView& y, const Conv2dParams& params);
void depthwise_conv2d_backward_data(const TensorView& dy, const TensorView& weight, const TensorView& dx,
                                    const Conv2dParams& params);
void depthwise_conv2d_backward_weight(const TensorView& x, const TensorView& dy, const TensorView& dw,
                                      const Conv2dParams& params);

// With the norm before the convolution, and the sums behind it. norm.mean.data null: none.
void depthwise_conv2d_norm_forward(const TensorView& x, const NormViews& norm, const TensorView& weight,
                                   const TensorView& y, const TensorView& sum, const TensorView& squares,
                                   const Conv2dParams& params);
void depthwise_conv2d_norm_backward_weight(const TensorView& x, const NormViews& norm, const TensorView& dy,
                                           const TensorView& dw, const Conv2dParams& params);
/// dx: the gradient by norm(x), through the activation.
void depthwise_conv2d_norm_backward_data(const TensorView& dy, const TensorView& weight, const TensorView& x,
                                         const NormViews& norm, const TensorView& dx,
                                         const TensorView& dnorm_weight, const TensorView& dnorm_bias,
                                         const Conv2dParams& params);

}  // namespace dlcuda::kernels::cuda

// What the differentiable functions share when they record themselves. Internal.
#pragma once

#include "dlcuda/core/autograd.h"
#include "dlcuda/kernels/bias.h"
#include "dlcuda/kernels/conv2d.h"
#include "dlcuda/kernels/copy.h"

namespace dlcuda::functional {

inline bool needs_gradient(const Tensor& x) { return x.defined() && x.requires_grad(); }

/// Saves `x` only if some gradient will be computed from it; the empty Saved gives an undefined tensor.
inline autograd::Saved save_if(bool wanted, const Tensor& x) {
  return wanted ? autograd::Saved(x) : autograd::Saved();
}

/// The gradient as the kernel wants it: dense and in the format of the forward pass. Nothing is copied in the
/// usual case, because every function here hands on gradients in the format of its inputs.
inline Tensor as_format(const Tensor& grad, MemoryFormat format) { return kernels::to_format(grad, format); }

/// y = conv2d(x, weight, bias) with the node that belongs to it, however y was computed.
Tensor record_conv2d(Tensor y, const Tensor& x, const Tensor& weight, const Tensor& bias,
                     const kernels::Conv2dParams& params);

/// The gradient through an activation, and that of the bias (input 2), if it is wanted, in the same pass.
inline kernels::ActivationBiasGradients through_activation(const autograd::BackwardContext& context,
                                                           const Tensor& y,
                                                           const kernels::ActivationParams& activation) {
  const Tensor dy = as_format(context.grad, y.format());
  if (context.needs(2)) return kernels::activation_bias_backward(dy, y, activation);
  return {kernels::activation_backward(dy, y, activation), {}};
}

/// f16 and bf16 as f32, differentiable: for functions made of several parts, which would round in between.
Tensor widened(const Tensor& x);

}  // namespace dlcuda::functional

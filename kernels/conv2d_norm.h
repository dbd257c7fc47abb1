// Convolutions that take over work of the batch normalisations around them, for training:
//
//   forward          y = conv2d(f(norm(x)), weight), and the sums of y and y^2 over each channel, of which
//                    the norm behind y is made; f is ReLU or ReLU6
//   backward weight  dweight = the gradient by the weight, with f(norm(x)) computed once more
//   backward data    the gradient by x, through f and the norm, and those by the norm's parameters
//
// So in a chain of convolution, norm and ReLU the normalised activations are never written, and neither the
// statistics nor the sums of the norm's gradients cost a pass (cf. Jung et al.: "Restructuring Batch
// Normalization to Accelerate CNN Training", 2019).
//
// CUDA: cuDNN's fused engines, for f16 in channels-last with multiples of 8 channels and ReLU; for depthwise
// convolutions our own kernels, in every dtype (conv2d_absorbs_norms() says for what). cuDNN's round scale
// and shift to f16, which costs digits where a channel's mean is large beside its spread; ours compute in
// f32. In both, whether f lets a gradient through is decided in f32, so that values within rounding of a kink
// may be taken for the other side. CPU: the parts one after another, the reference for the former.
#pragma once

#include "dlcuda/kernels/batch_norm.h"
#include "dlcuda/kernels/conv2d.h"

namespace dlcuda {
namespace kernels DLCUDA_API {

/// Whether the three functions below run as fused convolutions for x of this shape, on the way forward and
/// back. x_norm: whether the norm before the convolution is among what is asked for, with `activation` behind
/// it, or only the sums behind the convolution. Asks the library once for each problem. False on the CPU.
bool conv2d_absorbs_norms(const Tensor& x, const Tensor& weight, const Conv2dParams& params, bool x_norm,
                          Activation activation = Activation::Relu);

/// Whether conv2d_absorbs_norms() may say yes. One switch for the process, on by default, for measuring what
/// it gains.
bool allow_norm_absorption();
void set_allow_norm_absorption(bool allow);

struct Conv2dWithTotals {
  Tensor y;  ///< (N, O, OH, OW), x's format
  ChannelTotals totals;
};
/// x (N, C, H, W), weight (O, C / groups, KH, KW) of the same dtype. norm: of x's channels, or nullptr where
/// x is the input itself, without a norm and an activation. Throws as conv2d_forward() and
/// batch_norm_training() do, and ArgumentError for an activation other than Relu and Relu6.
Conv2dWithTotals conv2d_norm_forward(const Tensor& x, const KnownNorm* norm, const Tensor& weight,
                                     const Conv2dParams& params = {});

/// dy like y; the gradient comes in weight_format.
Tensor conv2d_norm_backward_weight(const Tensor& x, const KnownNorm& norm, const Tensor& dy,
                                   const Shape& weight_shape, const Conv2dParams& params = {},
                                   MemoryFormat weight_format = MemoryFormat::Contiguous);

/// By x and by the norm's weight and bias; residual stays undefined.
BatchNormGradients conv2d_norm_backward_data(const Tensor& dy, const Tensor& weight, const Tensor& x,
                                             const KnownNorm& norm, const Conv2dParams& params = {});

/// A KnownNorm for the backends.
struct NormViews {
  TensorView mean, inverse_std, weight, bias;
  TensorView scale, shift;  // null for depthwise convolutions that were given none
  Activation activation = Activation::Relu;

  template <typename Visit>
  void for_each_view(const Visit& visit) const {
    for (const TensorView* view : {&mean, &inverse_std, &weight, &bias, &scale, &shift}) visit(*view);
  }
};

// norm.mean.data null: none. dx: the gradient by norm(x), through the activation.
DLCUDA_BACKENDS(void conv2d_norm_forward(const TensorView& x, const NormViews& norm, const TensorView& weight,
                                         const TensorView& y, const TensorView& sum,
                                         const TensorView& squares, const Conv2dParams& params);
                void conv2d_norm_backward_weight(const TensorView& x, const NormViews& norm,
                                                 const TensorView& dy, const TensorView& dw,
                                                 const Conv2dParams& params);
                void conv2d_norm_backward_data(const TensorView& dy, const TensorView& weight,
                                               const TensorView& x, const NormViews& norm,
                                               const TensorView& dx, const TensorView& dnorm_weight,
                                               const TensorView& dnorm_bias, const Conv2dParams& params);)
namespace cuda DLCUDA_BACKEND_NAMESPACE {
bool conv2d_absorbs_norms(const Shape& x, const Shape& weight, const Shape& y, DType dtype,
                          const Conv2dParams& params, bool x_norm);
}

}  // namespace kernels
}  // namespace dlcuda

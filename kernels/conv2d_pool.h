// A convolution with its bias, an activation and the average pooling that halves a picture, as one step:
//
//   y = f(conv2d(x, weight) + bias),   pooled = the means of y's 2 x 2 windows, 2 apart
//
// and the way back, from pooled's gradient to those of x, weight and bias:
//
//   g = dpooled / 4 f'(y), at the four elements of its window;   dx, dweight, dbias as those of a convolution
//
// CPU: one parallel region each where the convolution goes plane by plane (kernels/cpu/conv2d_planes.h), so
// that neither y nor g passes through memory more often than it must; the parts elsewhere. CUDA: g and dbias
// in one pass, the convolutions are the library's.
#pragma once

#include "dlcuda/kernels/activation.h"
#include "dlcuda/kernels/conv2d.h"

namespace dlcuda {
namespace kernels DLCUDA_API {

struct Conv2dPoolOutput {
  Tensor y;       ///< (N, O, OH, OW), in x's format
  Tensor pooled;  ///< (N, O, OH / 2, OW / 2), the same
};
/// x (N, C, H, W), weight (O, C / groups, KH, KW), bias (O) in x's dtype, or undefined. For activations whose
/// backward pass reads the output. Throws as conv2d_forward() does, ArgumentError for other activations, and
/// ShapeError where no window fits into y.
Conv2dPoolOutput conv2d_pool_forward(const Tensor& x, const Tensor& weight, const Tensor& bias,
                                     const Conv2dParams& params, const ActivationParams& activation);

struct Conv2dPoolBackward {
  Tensor dpooled;  ///< like pooled
  Tensor y;        ///< what the forward pass gave
  Tensor x, weight;
  bool wants_x = true, wants_weight = true, wants_bias = true;
};
struct Conv2dPoolGradients {
  Tensor x, weight, bias;  ///< undefined where not wanted
};
Conv2dPoolGradients conv2d_pool_backward(const Conv2dPoolBackward& step, const Conv2dParams& params,
                                         const ActivationParams& activation);

// dx may be a null view. On the CPU what suits conv2d_planes.h.
DLCUDA_BACKENDS(void conv2d_pool_forward(const TensorView& x, const TensorView& weight,
                                         const TensorView& bias, const TensorView& y,
                                         const TensorView& pooled, const Conv2dParams& params,
                                         const ActivationParams& activation);
                void conv2d_pool_backward(const TensorView& dpooled, const TensorView& y, const TensorView& x,
                                          const TensorView& weight, const TensorView& dx,
                                          const TensorView& dw, const TensorView& db,
                                          const Conv2dParams& params, const ActivationParams& activation);)

}  // namespace kernels
}  // namespace dlcuda

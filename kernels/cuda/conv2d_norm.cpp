// Convolutions with the norms around them on CUDA: depthwise ones by our own kernels, all others by cuDNN,
// see kernels/cuda/cudnn_conv2d.h.
#include "dlcuda/kernels/conv2d_norm.h"

#include "dlcuda/kernels/cuda/cudnn_conv2d.h"
#include "dlcuda/kernels/cuda/depthwise_conv2d.h"
#include "dlcuda/kernels/cuda/weight_order.h"

namespace dlcuda::kernels::cuda {

bool conv2d_absorbs_norms(const Shape& x, const Shape& weight, const Shape& y, DType dtype,
                          const Conv2dParams& params, bool x_norm) {
  return cudnn_conv2d_absorbs_norms(x, weight, y, dtype, params, x_norm);
}

void conv2d_norm_forward(const TensorView& x, const NormViews& norm, const TensorView& weight,
                         const TensorView& y, const TensorView& sum, const TensorView& squares,
                         const Conv2dParams& params) {
  if (is_depthwise(weight, params)) {
    return depthwise_conv2d_norm_forward(x, norm, weight, y, sum, squares, params);
  }
  const Tensor room = room_for_weight(weight, x, y);
  cudnn_conv2d_norm_forward(x, norm, ordered(weight, room), y, sum, squares, params);
}

void conv2d_norm_backward_weight(const TensorView& x, const NormViews& norm, const TensorView& dy,
                                 const TensorView& dw, const Conv2dParams& params) {
  if (is_depthwise(dw, params)) return depthwise_conv2d_norm_backward_weight(x, norm, dy, dw, params);
  const Tensor room = room_for_weight(dw, x, dy);
  cudnn_conv2d_norm_backward_weight(x, norm, dy, room.defined() ? room.raw() : dw, params);
  if (room.defined()) copy(room.raw(), dw);
}

void conv2d_norm_backward_data(const TensorView& dy, const TensorView& weight, const TensorView& x,
                               const NormViews& norm, const TensorView& dx, const TensorView& dnorm_weight,
                               const TensorView& dnorm_bias, const Conv2dParams& params) {
  if (is_depthwise(weight, params)) {
    return depthwise_conv2d_norm_backward_data(dy, weight, x, norm, dx, dnorm_weight, dnorm_bias, params);
  }
  const Tensor room = room_for_weight(weight, dx, dy);
  cudnn_conv2d_norm_backward_data(dy, ordered(weight, room), x, norm, dx, dnorm_weight, dnorm_bias, params);
}

}  // namespace dlcuda::kernels::cuda

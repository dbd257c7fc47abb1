// Convolutions with the norms around them on CUDA: by cuDNN, see kernels/cuda/cudnn_conv2d.h.
#include "dlcuda/kernels/conv2d_norm.h"

#include "dlcuda/kernels/cuda/cudnn_conv2d.h"
#include "dlcuda/kernels/cuda/weight_order.h"

namespace dlcuda::kernels::cuda {

bool conv2d_absorbs_norms(const Shape& x, const Shape& weight, const Shape& y, DType dtype,
                          const Conv2dParams& params, bool x_norm) {
  return cudnn_conv2d_absorbs_norms(x, weight, y, dtype, params, x_norm);
}

void conv2d_norm_forward(const TensorView& x, const NormViews& norm, const TensorView& weight,
                         const TensorView& y, const TensorView& sum, const TensorView& squares,
                         const Conv2dParams& params) {
  const Tensor room = room_for_weight(weight, x, y);
  cudnn_conv2d_norm_forward(x, norm, ordered(weight, room), y, sum, squares, params);
}

void conv2d_norm_backward_weight(const TensorView& x, const NormViews& norm, const TensorView& dy,
                                 const TensorView& dw, const Conv2dParams& params) {
  const Tensor room = room_for_weight(dw, x, dy);
  cudnn_conv2d_norm_backward_weight(x, norm, dy, room.defined() ? room.raw() : dw, params);
  if (room.defined()) copy(room.raw(), dw);
}

void conv2d_norm_backward_data(const TensorView& dy, const TensorView& weight, const TensorView& x,
                               const NormViews& norm, const TensorView& dx, const TensorView& dnorm_weight,
                               const TensorView& dnorm_bias, const Conv2dParams& params) {
  const Tensor room = room_for_weight(weight, dx, dy);
  cudnn_conv2d_norm_backward_data(dy, ordered(weight, room), x, norm, dx, dnorm_weight, dnorm_bias, params);
}

}  // namespace dlcuda::kernels::cuda

// 2-D convolution on CUDA: depthwise ones by our own kernels, all others by cuDNN. The gradient of the bias
// is kernels/cuda/bias.cu's.
#include "dlcuda/kernels/conv2d.h"

#include "dlcuda/kernels/batch_norm.h"
#include "dlcuda/kernels/bias.h"
#include "dlcuda/kernels/conv2d_epilogue.h"
#include "dlcuda/kernels/conv2d_fused.h"
#include "dlcuda/kernels/cuda/cudnn_conv2d.h"
#include "dlcuda/kernels/cuda/depthwise_conv2d.h"
#include "dlcuda/kernels/cuda/weight_order.h"

namespace dlcuda::kernels::cuda {

void conv2d_forward(const TensorView& x, const TensorView& weight, const TensorView& bias,
                    const TensorView& y, const Conv2dParams& params) {
  if (is_depthwise(weight, params)) return depthwise_conv2d_forward(x, weight, bias, y, params);
  const Tensor room = room_for_weight(weight, x, y);
  cudnn_conv2d_forward(x, ordered(weight, room), bias, y, params);
}

void conv2d_backward_data(const TensorView& dy, const TensorView& weight, const TensorView& dx,
                          const Conv2dParams& params) {
  if (is_depthwise(weight, params)) return depthwise_conv2d_backward_data(dy, weight, dx, params);
  const Tensor room = room_for_weight(weight, dx, dy);
  cudnn_conv2d_backward_data(dy, ordered(weight, room), dx, params);
}

void conv2d_backward_weight(const TensorView& x, const TensorView& dy, const TensorView& dw,
                            const TensorView& db, const Conv2dParams& params) {
  if (is_depthwise(dw, params)) {
    depthwise_conv2d_backward_weight(x, dy, dw, params);
  } else {
    const Tensor room = room_for_weight(dw, x, dy);
    cudnn_conv2d_backward_weight(x, dy, room.defined() ? room.raw() : dw, params);
    if (room.defined()) copy(room.raw(), dw);
  }
  if (db.data != nullptr) bias_backward(dy, db);
}

void conv2d_fused(const TensorView& x, const TensorView& weight, const TensorView& bias,
                  const TensorView& residual, const TensorView& y, const Conv2dParams& params,
                  const ActivationParams& activation, PackedWeight* /*packed*/) {
  const bool plain =
      !residual.data && !activation_saves_input(activation.kind) && (!bias.data || bias.dtype == x.dtype);
  if (plain && !is_depthwise(weight, params)) {
    const Tensor room = room_for_weight(weight, x, y);
    return cudnn_conv2d_forward(x, ordered(weight, room), bias, y, params, activation);
  }
  conv2d_forward(x, weight, {}, y, params);
  conv2d_epilogue(bias, residual, y, activation, batch_norm_apply, activation_forward);
}

}  // namespace dlcuda::kernels::cuda

// A transposed convolution is the data gradient of the convolution with the same weight, and so are its
// gradients: what is x here is y there.
#include "dlcuda/kernels/conv_transpose2d.h"

#include "dlcuda/kernels/bias.h"
#include "dlcuda/kernels/conv2d.h"
#include "dlcuda/kernels/copy.h"
#include "dlcuda/kernels/dispatch.h"

namespace dlcuda::kernels::cpu {
namespace {

/// output_padding needs no place here: it is less than the stride, so that no window more fits in.
Conv2dParams convolution(const ConvTranspose2dParams& p) {
  return {.stride = p.stride, .padding = p.padding, .dilation = p.dilation, .groups = p.groups};
}

}  // namespace

void conv_transpose2d_forward(const TensorView& x, const TensorView& weight, const TensorView& bias,
                              const TensorView& y, const ConvTranspose2dParams& params) {
  conv2d_backward_data(x, weight, y, convolution(params));
  if (bias.data) DLCUDA_BEST_LOOP(bias_add)(y, bias, y);
}

void conv_transpose2d_backward_data(const TensorView& dy, const TensorView& weight, const TensorView& dx,
                                    const ConvTranspose2dParams& params) {
  conv2d_forward(dy, weight, TensorView{}, dx, convolution(params));
}

void conv_transpose2d_backward_weight(const TensorView& x, const TensorView& dy, const TensorView& dw,
                                      const ConvTranspose2dParams& params) {
  conv2d_backward_weight(dy, x, dw, TensorView{}, convolution(params));
}

}  // namespace dlcuda::kernels::cpu

// Convolutions of a pixel with itself (1 x 1) of bf16 in channels-last, on processors with AMX: products of
// the pixels, a long and narrow matrix, and the weight, a small one. They wait for memory, and oneDNN 2.6
// takes up to three times as long as that.
#pragma once

#include "dlcuda/kernels/conv2d.h"
#include "dlcuda/kernels/cpu/piecewise_linear.h"

namespace dlcuda::kernels::cpu {

/// Whether the window is a pixel, at every pixel.
inline bool is_pointwise(const TensorView& weight, const Conv2dParams& params) {
  const Conv2dParams plain;
  return weight.shape[2] == 1 && weight.shape[3] == 1 && params.groups == 1 &&
         params.stride == plain.stride && params.padding == plain.padding;
}

enum class PointwisePass { Forward, Data, Weight };

/// True for bf16 in channels-last on AMX, a window of one pixel at every pixel, and for sizes that are worth
/// it. x may also be dx, weight dw, y dy.
bool pointwise_applies(PointwisePass pass, const TensorView& x, const TensorView& weight, const TensorView& y,
                       const Conv2dParams& params);

/// Bytes of scratch memory that a pass wants.
std::size_t pointwise_scratch(PointwisePass pass, const TensorView& x, const TensorView& weight);

// Loops for one level beyond x86-64-v4. scratch: of pointwise_scratch() bytes, aligned to 64.
namespace amx {

/// y = f(x * weight + bias + residual). bias: in f32 or bf16, or a null view; residual: like y, or null.
void pointwise_forward(const TensorView& x, const TensorView& weight, const TensorView& bias,
                       const TensorView& residual, const TensorView& y, const PiecewiseLinear& activation,
                       void* scratch);
void pointwise_backward_data(const TensorView& dy, const TensorView& weight, const TensorView& dx,
                             void* scratch);
void pointwise_backward_weight(const TensorView& x, const TensorView& dy, const TensorView& dw,
                               void* scratch);

}  // namespace amx
}  // namespace dlcuda::kernels::cpu

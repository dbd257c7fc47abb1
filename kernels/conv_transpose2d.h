// Transposed 2-D convolution: the data gradient of a convolution as an operation of its own, which enlarges
// (Zeiler et al., 2010; Dumoulin & Visin, 2016). Where no two taps meet (kernel = stride, no padding, one
// group) it is one matrix product, whose rows are then spread over the output together with the bias.
// Otherwise: CPU oneDNN (f32, bf16; f16 through f32) or the reference implementation (f64); CUDA our own
// kernels.
#pragma once

#include <array>
#include <cstdint>

#include "dlcuda/kernels/backend.h"

namespace dlcuda {
namespace kernels DLCUDA_API {

struct ConvTranspose2dParams {
  std::array<std::int64_t, 2> stride{1, 1};          ///< vertical, horizontal
  std::array<std::int64_t, 4> padding{0, 0, 0, 0};   ///< cut off the output at the top, left, bottom, right
  std::array<std::int64_t, 2> output_padding{0, 0};  ///< added at the bottom and right; less than the stride
  std::array<std::int64_t, 2> dilation{1, 1};
  std::int64_t groups = 1;
};

/// Output shape (N, O, OH, OW) for x (N, C, H, W) and weight (C, O / groups, KH, KW), with
/// OH = (H - 1) stride - top - bottom + dilation (KH - 1) + output_padding + 1. Throws ShapeError or
/// ArgumentError for anything that does not fit together, naming the argument.
Shape conv_transpose2d_shape(const Shape& x, const Shape& weight, const ConvTranspose2dParams& params);

/// y[n, o, oh, ow] = bias[o] + sum over c, i, j of weight[c, o, i, j] x[n, c, h, w], over all h, w with
/// oh = h stride - top + i dilation and ow = w stride - left + j dilation; c in o's group. y takes x's
/// format. `bias` (O) may be undefined. Weight lies in either format; where no two taps meet, channels-last
/// spares a copy.
Tensor conv_transpose2d_forward(const Tensor& x, const Tensor& weight, const Tensor& bias,
                                const ConvTranspose2dParams& params);
/// The same into y, which may be a channel slice: a part of a tensor that others are written into as well.
void conv_transpose2d_into(Tensor& y, const Tensor& x, const Tensor& weight, const Tensor& bias,
                           const ConvTranspose2dParams& params);

/// Gradient with respect to x, of shape `x_shape`, in dy's format.
Tensor conv_transpose2d_backward_data(const Tensor& dy, const Tensor& weight, const Shape& x_shape,
                                      const ConvTranspose2dParams& params);
/// Gradient with respect to weight, in `weight_format`. That of the bias is bias_backward(dy).
Tensor conv_transpose2d_backward_weight(const Tensor& x, const Tensor& dy, const Shape& weight_shape,
                                        const ConvTranspose2dParams& params,
                                        MemoryFormat weight_format = MemoryFormat::Contiguous);

/// What conv_transpose2d_backward() is to compute, and what from.
struct ConvTranspose2dBackward {
  Tensor x, weight;  ///< that of the two whose gradient is not wanted may be undefined
  Shape x_shape, weight_shape;
  MemoryFormat x_format, weight_format;  ///< of the gradients
  bool wants_x, wants_weight, wants_bias;
};
struct ConvTranspose2dGradients {
  Tensor x, weight, bias;  ///< undefined where not wanted
};
/// The gradients that are wanted, with what they share computed once. dy may be a channel slice, in either
/// format.
ConvTranspose2dGradients conv_transpose2d_backward(const Tensor& dy, const ConvTranspose2dBackward& wanted,
                                                   const ConvTranspose2dParams& params);

// x and dx dense; y and dy dense or channel slices; weight dense in either format; a null pointer in
// bias.data means none.
DLCUDA_BACKENDS(
    void conv_transpose2d_forward(const TensorView& x, const TensorView& weight, const TensorView& bias,
                                  const TensorView& y, const ConvTranspose2dParams& params);
    void conv_transpose2d_backward_data(const TensorView& dy, const TensorView& weight, const TensorView& dx,
                                        const ConvTranspose2dParams& params);
    void conv_transpose2d_backward_weight(const TensorView& x, const TensorView& dy, const TensorView& dw,
                                          const ConvTranspose2dParams& params);)

// Of one tap for each output: rows (N H W, KH KW O), in the order of x's pixels, and y (N, O, H KH, W KW).
DLCUDA_LOOP_BACKENDS(void spread_taps(const TensorView& rows, const TensorView& bias, const TensorView& y,
                                      std::int64_t kernel_height, std::int64_t kernel_width);
                     void gather_taps(const TensorView& y, const TensorView& rows, std::int64_t kernel_height,
                                      std::int64_t kernel_width);)

}  // namespace kernels
}  // namespace dlcuda

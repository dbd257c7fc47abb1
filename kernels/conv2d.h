// 2-D convolution (cross-correlation, as in all deep-learning libraries). CPU: oneDNN (f32, bf16; f16 through
// f32), loops of our own where they are faster (cpu/conv2d_planes.h, cpu/depthwise_conv2d.h), and a reference
// implementation (f64). CUDA: cuDNN; depthwise (groups of one channel) by our own kernels.
//
// cuDNN offers several engines for each convolution. The first call with sizes that are new measures them on
// the call's own tensors (it waits for the device), and takes the fastest from then on; what was found is
// kept for later processes in $DLCUDA_CACHE_DIR, else $XDG_CACHE_HOME/dlcuda or ~/.cache/dlcuda. In
// deterministic mode (core/determinism.h), and while a CUDA graph is captured, nothing is measured.
#pragma once

#include <array>
#include <cstdint>

#include "dlcuda/kernels/backend.h"

namespace dlcuda {
namespace kernels DLCUDA_API {

struct Conv2dParams {
  std::array<std::int64_t, 2> stride{1, 1};         ///< vertical, horizontal
  std::array<std::int64_t, 4> padding{0, 0, 0, 0};  ///< zeros added at the top, left, bottom, right
  std::array<std::int64_t, 2> dilation{1, 1};
  std::int64_t groups = 1;
};

/// The parameters with the padding that TensorFlow calls SAME, for x (N, C, H, W) and a kernel {height,
/// width}: whatever the stride, OH = ceil(H / stride) and OW = ceil(W / stride). What does not divide evenly
/// goes to the bottom and the right, so that the padding may be asymmetric and depends on H and W. Throws
/// ShapeError unless x has 4 axes, ArgumentError for a kernel, stride or dilation below 1.
Conv2dParams same_padding(const Shape& x, const std::array<std::int64_t, 2>& kernel,
                          Conv2dParams params = {});
/// The parameters without padding, TensorFlow's VALID: OH = ceil((H - dilation (KH - 1)) / stride).
Conv2dParams valid_padding(Conv2dParams params = {});

/// Output shape (N, O, OH, OW) for x (N, C, H, W) and weight (O, C / groups, KH, KW). Throws ShapeError for
/// anything that does not fit together, naming the argument.
Shape conv2d_shape(const Shape& x, const Shape& weight, const Conv2dParams& params);

/// y[n, o, oh, ow] = bias[o] + sum over c, i, j of weight[o, c, i, j] *
///                   x[n, g C / groups + c, oh stride - top + i dilation, ow stride - left + j dilation],
/// with g = o / (O / groups), and x = 0 beyond its borders; y takes x's format. `bias` may be undefined.
/// Weight is (O, C / groups, KH, KW) in either format; on CUDA it is used as it lies where x has the same
/// one, and copied in each call where not.
Tensor conv2d_forward(const Tensor& x, const Tensor& weight, const Tensor& bias, const Conv2dParams& params);

/// Gradient with respect to x, of shape `x_shape`, in dy's format.
Tensor conv2d_backward_data(const Tensor& dy, const Tensor& weight, const Shape& x_shape,
                            const Conv2dParams& params);

struct Conv2dWeightGradients {
  Tensor weight;  ///< (O, C / groups, KH, KW)
  Tensor bias;    ///< (O); undefined unless asked for
};
/// Gradients with respect to weight, in `weight_format`, and, if `with_bias`, bias.
Conv2dWeightGradients conv2d_backward_weight(const Tensor& x, const Tensor& dy, const Shape& weight_shape,
                                             const Conv2dParams& params, bool with_bias,
                                             MemoryFormat weight_format = MemoryFormat::Contiguous);

// x, y: dense in either format, both the same; weight: dense in either; a null pointer in bias.data means
// none.
DLCUDA_BACKENDS(void conv2d_forward(const TensorView& x, const TensorView& weight, const TensorView& bias,
                                    const TensorView& y, const Conv2dParams& params);
                void conv2d_backward_data(const TensorView& dy, const TensorView& weight,
                                          const TensorView& dx, const Conv2dParams& params);
                void conv2d_backward_weight(const TensorView& x, const TensorView& dy, const TensorView& dw,
                                            const TensorView& db, const Conv2dParams& params);)

}  // namespace kernels
}  // namespace dlcuda

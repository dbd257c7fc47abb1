// Average and maximum pooling over windows of (N, C, H, W).
#pragma once

#include <array>
#include <cstdint>

#include "dlcuda/kernels/backend.h"

namespace dlcuda {
namespace kernels DLCUDA_API {

struct Pool2dParams {
  std::array<std::int64_t, 2> kernel{2, 2};  ///< height, width
  std::array<std::int64_t, 2> stride{2, 2};
  std::array<std::int64_t, 2> padding{0, 0};  ///< on both sides, at most half the kernel
  bool count_include_pad = true;              ///< average: padding counts as zeros
  /// Rounds the number of windows up: the last ones may reach beyond the padding, but begin before its end.
  bool ceil_mode = false;
};

/// (N, C, OH, OW), OH = floor((H + 2 padding - kernel) / stride) + 1 (ceil in ceil mode). Throws ShapeError
/// where no window fits.
Shape pool2d_shape(const Shape& x, const Pool2dParams& params);

Tensor avg_pool2d_forward(const Tensor& x, const Pool2dParams& params);
/// Gradient with respect to x, of shape `x_shape`, in dy's format.
Tensor avg_pool2d_backward(const Tensor& dy, const Shape& x_shape, const Pool2dParams& params);

struct MaxPool2dOutput {
  Tensor y;
  Tensor indices;  ///< i32, like y: h * W + w of the maximum within its plane; the first one of equals, as in
                   ///< PyTorch
};
/// NaN counts as larger than any number, and of several the last one is taken, as in PyTorch. x may be a
/// channel slice; in channels-last CUDA reads it in place.
MaxPool2dOutput max_pool2d_forward(const Tensor& x, const Pool2dParams& params);
Tensor max_pool2d_backward(const Tensor& dy, const Tensor& indices, const Shape& x_shape,
                           const Pool2dParams& params);

/// Windows that divide the input evenly, so that y has the given height and width: window o of n out of an
/// extent H covers floor(o H / n) ... ceil((o + 1) H / n) - 1. (1, 1) is the global average or maximum.
Tensor adaptive_avg_pool2d_forward(const Tensor& x, std::array<std::int64_t, 2> size);
Tensor adaptive_avg_pool2d_backward(const Tensor& dy, const Shape& x_shape);
MaxPool2dOutput adaptive_max_pool2d_forward(const Tensor& x, std::array<std::int64_t, 2> size);
Tensor adaptive_max_pool2d_backward(const Tensor& dy, const Tensor& indices, const Shape& x_shape);

/// The windows along one axis; an adaptive one has no kernel, stride and padding.
struct PoolWindows {
  std::int64_t kernel, stride, padding, in, out;
  bool adaptive;
};
struct PoolGeometry {
  PoolWindows h, w;
  bool count_include_pad;
};

// Dense in either format, inputs and outputs the same.
DLCUDA_LOOP_BACKENDS(void avg_pool2d_forward(const TensorView& x, const TensorView& y,
                                             const PoolGeometry& geometry);
                     void avg_pool2d_backward(const TensorView& dy, const TensorView& dx,
                                              const PoolGeometry& geometry);
                     void max_pool2d_forward(const TensorView& x, const TensorView& y,
                                             const TensorView& indices, const PoolGeometry& geometry);
                     void max_pool2d_backward(const TensorView& dy, const TensorView& indices,
                                              const TensorView& dx, const PoolGeometry& geometry);)

}  // namespace kernels
}  // namespace dlcuda

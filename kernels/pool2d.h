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
};

/// (N, C, OH, OW), OH = floor((H + 2 padding - kernel) / stride) + 1. Throws ShapeError where no window fits.
Shape pool2d_shape(const Shape& x, const Pool2dParams& params);

Tensor avg_pool2d_forward(const Tensor& x, const Pool2dParams& params);
/// Gradient with respect to x, of shape `x_shape`, in dy's format.
Tensor avg_pool2d_backward(const Tensor& dy, const Shape& x_shape, const Pool2dParams& params);

struct MaxPool2dOutput {
  Tensor y;
  Tensor indices;  ///< i32, like y: h * W + w of the maximum within its plane; the first one of equals, as in
                   ///< PyTorch
};
/// NaN counts as larger than any number, as in PyTorch.
MaxPool2dOutput max_pool2d_forward(const Tensor& x, const Pool2dParams& params);
Tensor max_pool2d_backward(const Tensor& dy, const Tensor& indices, const Shape& x_shape,
                           const Pool2dParams& params);

// Dense in either format, inputs and outputs the same.
DLCUDA_LOOP_BACKENDS(void avg_pool2d_forward(const TensorView& x, const TensorView& y,
                                             const Pool2dParams& params);
                     void avg_pool2d_backward(const TensorView& dy, const TensorView& dx,
                                              const Pool2dParams& params);
                     void max_pool2d_forward(const TensorView& x, const TensorView& y,
                                             const TensorView& indices, const Pool2dParams& params);
                     void max_pool2d_backward(const TensorView& dy, const TensorView& indices,
                                              const TensorView& dx, const Pool2dParams& params);)

}  // namespace kernels
}  // namespace dlcuda

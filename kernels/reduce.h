// Reductions over one axis or over everything, in a fixed order: the same bits every run.
#pragma once

#include <cstdint>
#include <optional>

#include "dlcuda/kernels/backend.h"

namespace dlcuda {
namespace kernels DLCUDA_API {

enum class Reduction : std::uint8_t { Sum, Mean, Max };

/// Reduces `axis` (negative counts from the end; it disappears from the shape), or everything to a scalar
/// when no axis is given. Floating-point, contiguous. An empty Sum is 0, an empty Mean NaN, an empty Max a
/// ShapeError.
Tensor reduce(const Tensor& x, Reduction reduction, std::optional<int> axis = {});

/// Gradient of Sum and Mean with respect to x, of shape `x_shape`. (Max: use argmax and gather; not needed
/// here.)
Tensor reduce_backward(const Tensor& dy, const Shape& x_shape, Reduction reduction,
                       std::optional<int> axis = {});

/// Index (i64) of the largest element along `axis`, the first of equals; NaN counts as largest.
Tensor argmax(const Tensor& x, int axis);

// x as (outer, n, inner), contiguous; y as (outer, inner).
DLCUDA_LOOP_BACKENDS(void reduce(const TensorView& x, const TensorView& y, Reduction reduction);
                     void reduce_backward(const TensorView& dy, const TensorView& dx, Reduction reduction);
                     void argmax(const TensorView& x, const TensorView& y);)

}  // namespace kernels
}  // namespace dlcuda

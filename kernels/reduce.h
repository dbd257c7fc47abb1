// Reductions over any axes, in a fixed order: the same bits every run.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "dlcuda/kernels/backend.h"

namespace dlcuda {
namespace kernels DLCUDA_API {

enum class Reduction : std::uint8_t { Sum, Mean, Max, Min };

/// Reduces these axes (negative ones count from the end; none: all of them). They disappear from the shape,
/// or stay with extent 1 where `keep`. Floating-point, dense. Axes that lie together in memory are reduced
/// where they are (in channels-last, N, H and W of a picture); others are brought together by a copy first.
/// An empty Sum is 0, an empty Mean NaN, an empty Max or Min a ShapeError; NaN counts as largest, and as
/// smallest.
Tensor reduce(const Tensor& x, Reduction reduction, std::span<const int> axes, bool keep = false);
/// One axis, or everything when none is given.
Tensor reduce(const Tensor& x, Reduction reduction, std::optional<int> axis = {});

/// Gradient with respect to x of a Sum or Mean: dy has extent 1 (kept) in each of the reduced axes, and is
/// repeated.
Tensor reduce_backward(const Tensor& dy, const Shape& x_shape, Reduction reduction);

/// x summed over the axes that broadcasting `shape` to x's shape repeats: the gradient of that. The same
/// handle when the shapes agree.
Tensor sum_to(const Tensor& x, const Shape& shape);

/// Index (i64) of the largest element along `axis`, the first of equals; NaN counts as largest. x dense.
Tensor argmax(const Tensor& x, int axis);
/// Of the smallest one; NaN counts as smallest.
Tensor argmin(const Tensor& x, int axis);

// x as (outer, n, inner), contiguous; y as (outer, inner).
DLCUDA_LOOP_BACKENDS(void reduce(const TensorView& x, const TensorView& y, Reduction reduction);
                     void argmax(const TensorView& x, const TensorView& y, bool smallest);)

}  // namespace kernels
}  // namespace dlcuda

// Elements chosen by index; indices are i64, contiguous and on the device of the data. Forward takes any
// dtype. An index that is out of range is an ArgumentError on the CPU; on CUDA, where nobody waits to look,
// it gives NaN (0 for integers), reads nothing and takes no gradient.
#pragma once

#include <cstdint>

#include "dlcuda/kernels/backend.h"

namespace dlcuda {
namespace kernels DLCUDA_API {

/// y[..., j, ...] = x[..., index[..., j, ...], ...] along `axis` (negative ones count from the end). index
/// has at most x's extents but along the axis: what of x lies beyond them is left out. x and y are
/// contiguous.
Tensor gather(const Tensor& x, int axis, const Tensor& index);
/// Gradient with respect to x. An element that was taken several times adds them up in the order of the
/// index.
Tensor gather_backward(const Tensor& dy, const Shape& x_shape, int axis, const Tensor& index);

/// y[..., j, ...] = x[..., index[j], ...] along `axis`, for an index with one axis, in x's format. With axis
/// 0 and a table (V, D): the rows of an embedding.
Tensor index_select(const Tensor& x, int axis, const Tensor& index);
/// An index equal to `skip` gets no gradient (an embedding's padding; negative: none is left out).
Tensor index_select_backward(const Tensor& dy, const Shape& x_shape, int axis, const Tensor& index,
                             std::int64_t skip = -1);

/// (..., classes) with a 1 at labels[...] and 0 elsewhere. labels: i64, any shape, contiguous; an entry out
/// of range throws on the CPU and gives a row of NaN (zeros for integers) on CUDA.
Tensor one_hot(const Tensor& labels, std::int64_t classes, DType dtype = DType::F32);

// x as (outer, n, inner), y as (outer, m, inner); index like y, or (m) where `shared`.
DLCUDA_LOOP_BACKENDS(void gather(const TensorView& x, const TensorView& index, const TensorView& y,
                                 bool shared);
                     void gather_backward(const TensorView& dy, const TensorView& index, const TensorView& dx,
                                          bool shared, std::int64_t skip);
                     void one_hot(const TensorView& labels, const TensorView& y);)

}  // namespace kernels
}  // namespace dlcuda

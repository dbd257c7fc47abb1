// What moves elements to other places, or changes the shape, the memory format or the dtype only. See
// layers/functional.h; kernels/layout.h, pad.h, resample.h and indexing.h give the details.
#pragma once

#include <array>
#include <span>
#include <vector>

#include "dlcuda/core/tensor.h"
#include "dlcuda/kernels/layout.h"
#include "dlcuda/kernels/pad.h"
#include "dlcuda/kernels/resample.h"

namespace dlcuda {
namespace functional DLCUDA_API {

using kernels::AxisPadding;
using kernels::Resample;

/// (N, ...) -> (N, product), in N, C, H, W order whatever the format (a copy for channels-last).
Tensor flatten(const Tensor& x);
/// Dense in N, C, H, W order.
Tensor contiguous(const Tensor& x);
Tensor to_format(const Tensor& x, MemoryFormat format);
Tensor cast(const Tensor& x, DType dtype);

/// One behind another along an axis.
Tensor concat(std::span<const Tensor> tensors, int axis);
/// The elements begin ... begin + length - 1 of an axis.
Tensor narrow(const Tensor& x, int axis, std::int64_t begin, std::int64_t length);
/// Pieces of these lengths, which add up to the extent of the axis.
std::vector<Tensor> split(const Tensor& x, std::span<const std::int64_t> lengths, int axis);
/// An entry for each axis; negative padding takes away (a crop).
Tensor pad(const Tensor& x, std::span<const AxisPadding> padding, double value = 0);
/// Mirrors the inside: top, left, bottom, right of (N, C, H, W).
Tensor pad_reflect(const Tensor& x, std::array<std::int64_t, 4> padding);
Tensor flip(const Tensor& x, std::span<const int> axes);
Tensor permute(const Tensor& x, std::span<const int> order);
/// The last two axes exchanged.
Tensor transpose(const Tensor& x);

/// (N, C, H, W) -> (N, C, height, width)
Tensor resize(const Tensor& x, std::array<std::int64_t, 2> size, Resample mode);
/// (N, C r r, H, W) <-> (N, C, H r, W r), channels in PyTorch's order.
Tensor pixel_shuffle(const Tensor& x, std::int64_t factor);
Tensor pixel_unshuffle(const Tensor& x, std::int64_t factor);
/// The same with the pixels of a block as the slower part of the channel: YOLOv2's passthrough.
Tensor space_to_depth(const Tensor& x, std::int64_t factor);
Tensor depth_to_space(const Tensor& x, std::int64_t factor);
/// What Darknet's "reorg" layer computes, and its YOLOv2 weights expect: the memory of x (C, H, W) is taken
/// for a picture (C / r r, H r, W r), space_to_depth() makes (C, H, W) of that, which is called
/// (C r r, H / r, W / r). The shape is that of space_to_depth(x), the order is not. Throws ShapeError unless
/// C is a multiple of r r. Channels-last pictures are converted there and back.
Tensor reorg(const Tensor& x, std::int64_t factor);

/// torch.gather: index i64, with at most x's extents but along the axis.
Tensor gather(const Tensor& x, int axis, const Tensor& index);
/// index: i64 with one axis.
Tensor index_select(const Tensor& x, int axis, const Tensor& index);
/// table (V, D), index i64 of any shape -> (..., D). The row `padding`, if it is not negative, takes no
/// gradient; ArgumentError where there is no such row.
Tensor embedding(const Tensor& table, const Tensor& index, std::int64_t padding = -1);

}  // namespace functional
}  // namespace dlcuda

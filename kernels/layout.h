// Copies that move elements to other places: joining, cutting, turning round, shuffling. Any dtype,
// any rank unless an entry says otherwise; results are dense and have storage of their own. A rank-4 result
// has x's memory format (of the first of several). Axes may be negative: they count from the end then.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "dlcuda/core/tensor.h"

namespace dlcuda {
namespace kernels DLCUDA_API {

/// The tensors one behind another along `axis`; all other extents and dtypes agree. Throws ArgumentError for
/// none.
Tensor concat(std::span<const Tensor> tensors, int axis);

/// The elements begin ... begin + length - 1 of `axis`.
Tensor narrow(const Tensor& x, int axis, std::int64_t begin, std::int64_t length);

/// y[n, c, i, j] = x[n, c, i + top, j + left]: a window of pictures, into y, which may be a channel slice: a
/// part of a tensor that others are written into as well. Either format on either side. Throws ShapeError
/// where the window is not inside x.
void copy_window(Tensor& y, const Tensor& x, std::int64_t top, std::int64_t left);

/// Element i of each of these axes comes from extent - 1 - i.
Tensor flip(const Tensor& x, std::span<const int> axes);

/// Axis i of the result is axis order[i] of x; the result is contiguous.
Tensor permute(const Tensor& x, std::span<const int> order);

/// (N, C r r, H, W) -> (N, C, H r, W r): channel c r r + i r + j goes to pixel (h r + i, w r + j) of channel
/// c (Shi et al., 2016).
Tensor pixel_shuffle(const Tensor& x, std::int64_t factor);
/// Its inverse, (N, C, H r, W r) -> (N, C r r, H, W), as PyTorch orders the channels.
Tensor pixel_unshuffle(const Tensor& x, std::int64_t factor);
/// The same blocks, but their pixels are the slower part of the channel: pixel (h r + i, w r + j) of channel
/// c goes to channel (i r + j) C + c. TensorFlow's order, and that of YOLOv2's passthrough as its paper
/// describes it (Darknet's own reorg layer mixes channels and pixels in another way: functional::reorg).
Tensor space_to_depth(const Tensor& x, std::int64_t factor);
Tensor depth_to_space(const Tensor& x, std::int64_t factor);

}  // namespace kernels
}  // namespace dlcuda

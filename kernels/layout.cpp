// Everything here is one strided copy (kernels/copy.h) between views that differ in strides.
#include "dlcuda/kernels/layout.h"

#include <algorithm>

#include "dlcuda/kernels/axis_layout.h"
#include "dlcuda/kernels/copy.h"
#include "dlcuda/kernels/dispatch.h"

namespace dlcuda::kernels {
namespace {

/// The view moved to where element `begin` of `axis` is.
TensorView moved(TensorView view, int axis, std::int64_t begin) {
  // An empty tensor may have no memory to move in.
  if (view.numel() == 0) return view;
  const std::int64_t bytes = begin * view.strides[axis] * static_cast<std::int64_t>(size_of(view.dtype));
  view.data = static_cast<char*>(view.data) + bytes;
  return view;
}

TensorView part(TensorView view, int axis, std::int64_t begin, std::int64_t length) {
  view = moved(view, axis, begin);
  view.shape[axis] = length;
  return view;
}

/// Axes in another order.
TensorView reordered(const TensorView& view, std::span<const int> order) {
  TensorView result = view;
  result.rank = static_cast<int>(order.size());
  for (int axis = 0; axis < result.rank; ++axis) {
    result.shape[axis] = view.shape[order[static_cast<std::size_t>(axis)]];
    result.strides[axis] = view.strides[order[static_cast<std::size_t>(axis)]];
  }
  return result;
}

/// Axis `axis` of extent a * b as two axes of extents a and b.
TensorView split_axis(const TensorView& view, int axis, std::int64_t inner) {
  TensorView result = view;
  ++result.rank;
  for (int later = result.rank - 1; later > axis + 1; --later) {
    result.shape[later] = view.shape[later - 1];
    result.strides[later] = view.strides[later - 1];
  }
  result.shape[axis] = view.shape[axis] / inner;
  result.strides[axis] = view.strides[axis] * inner;
  result.shape[axis + 1] = inner;
  result.strides[axis + 1] = view.strides[axis];
  return result;
}

void copy_view(Device device, const TensorView& from, const TensorView& to) {
  if (to.numel() > 0) DLCUDA_DISPATCH_LOOPS(device, copy, from, to);
}

/// Like x in everything but the shape.
Tensor result_like(const Tensor& x, const Shape& shape) {
  const MemoryFormat format = shape.rank() == 4 ? x.format() : MemoryFormat::Contiguous;
  return Tensor::empty(shape, x.dtype(), x.device(), format);
}

Shape with_extent(const Tensor& x, int axis, std::int64_t extent) {
  std::vector<std::int64_t> extents(x.shape().extents().begin(), x.shape().extents().end());
  extents[static_cast<std::size_t>(axis)] = extent;
  return Shape(std::span<const std::int64_t>(extents));
}

/// Pictures and their blocks: (N, C, H r, W r) <-> (N, C r r, H, W).
enum class ChannelOrder { PixelsInside, PixelsOutside };

void check_factor(const char* op, std::int64_t factor) {
  constexpr std::int64_t kLargest = std::int64_t{1} << 15;  // its square stays far from an overflow
  DLCUDA_CHECK(factor >= 1 && factor <= kLargest, ArgumentError,
               "{}: factor must be between 1 and {}, got {}", op, kLargest, factor);
}

/// Throws ShapeError where it overflows, as it can beside an extent of 0.
std::int64_t product(std::int64_t a, std::int64_t b) { return Shape{a, b}.numel(); }

/// (N, C, H, r, W, r) of the picture.
TensorView blocks_of_picture(const TensorView& picture, std::int64_t factor) {
  return split_axis(split_axis(picture, 3, factor), 2, factor);
}

/// (N, C, H, r, W, r) of the tensor that holds the blocks as channels.
TensorView blocks_of_channels(const TensorView& channels, std::int64_t factor, ChannelOrder order) {
  if (order == ChannelOrder::PixelsInside) {  // (N, C, i, j, H, W)
    const TensorView axes = split_axis(split_axis(channels, 1, factor), 1, factor);
    return reordered(axes, std::array{0, 1, 4, 2, 5, 3});
  }
  // (N, i, j, C, H, W)
  const std::int64_t c = channels.shape[1] / (factor * factor);
  const TensorView axes = split_axis(split_axis(channels, 1, c), 1, factor);
  return reordered(axes, std::array{0, 3, 4, 1, 5, 2});
}

Tensor to_channels(const char* op, const Tensor& x, std::int64_t factor, ChannelOrder order) {
  require_defined(op, "x", x);
  require_rank(op, "x", x, 4);
  check_factor(op, factor);
  DLCUDA_CHECK(x.size(2) % factor == 0 && x.size(3) % factor == 0, ShapeError,
               "{}: height and width of x must be multiples of the factor {}, got shape {}", op, factor,
               to_string(x.shape()));
  Tensor y = result_like(
      x, Shape{x.size(0), product(x.size(1), factor * factor), x.size(2) / factor, x.size(3) / factor});
  if (y.numel() == 0) return y;  // no channels cannot be divided into groups
  copy_view(x.device(), blocks_of_picture(x.raw(), factor), blocks_of_channels(y.raw(), factor, order));
  return y;
}

Tensor to_picture(const char* op, const Tensor& x, std::int64_t factor, ChannelOrder order) {
  require_defined(op, "x", x);
  require_rank(op, "x", x, 4);
  check_factor(op, factor);
  DLCUDA_CHECK(x.size(1) % (factor * factor) == 0, ShapeError,
               "{}: the channels of x must be a multiple of {} (the factor squared), got shape {}", op,
               factor * factor, to_string(x.shape()));
  Tensor y = result_like(x, Shape{x.size(0), x.size(1) / (factor * factor), product(x.size(2), factor),
                                  product(x.size(3), factor)});
  if (y.numel() == 0) return y;
  copy_view(x.device(), blocks_of_channels(x.raw(), factor, order), blocks_of_picture(y.raw(), factor));
  return y;
}

}  // namespace

void copy_window(Tensor& y, const Tensor& x, std::int64_t top, std::int64_t left) {
  const char* op = "copy_window";
  require_defined(op, "x", x);
  require_rank(op, "x", x, 4);
  require_rank(op, "y", y, 4);
  require_dtype(op, "y", y, x.dtype());
  require_device(op, "y", y, x.device());
  DLCUDA_CHECK(y.size(0) == x.size(0) && y.size(1) == x.size(1), ShapeError,
               "{}: y {} must have as many pictures and channels as x {}", op, to_string(y.shape()),
               to_string(x.shape()));
  DLCUDA_CHECK(top >= 0 && left >= 0 && top <= x.size(2) - y.size(2) && left <= x.size(3) - y.size(3),
               ShapeError, "{}: a window of {}x{} at row {}, column {} is not inside pictures of {}x{}", op,
               y.size(2), y.size(3), top, left, x.size(2), x.size(3));
  copy_view(x.device(), part(part(x.raw(), 2, top, y.size(2)), 3, left, y.size(3)), y.raw());
  y.bump_version();
}

Tensor concat(std::span<const Tensor> tensors, int axis) {
  const char* op = "concat";
  DLCUDA_CHECK(!tensors.empty(), ArgumentError, "concat: there must be at least one tensor");
  const Tensor& first = tensors.front();
  require_defined(op, "tensor 0", first);
  const int along = checked_axis(op, first, axis);
  std::int64_t total = 0;
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const std::string name = "tensor " + std::to_string(i);
    require_dtype(op, name.c_str(), tensors[i], first.dtype());
    require_device(op, name.c_str(), tensors[i], first.device());
    require_rank(op, name.c_str(), tensors[i], first.rank());
    require_shape(op, name.c_str(), tensors[i], with_extent(first, along, tensors[i].size(along)));
    DLCUDA_CHECK(!__builtin_add_overflow(total, tensors[i].size(along), &total), ShapeError,
                 "concat: axis {} becomes longer than 2^63 - 1", along);
  }
  Tensor y = result_like(first, with_extent(first, along, total));
  std::int64_t begin = 0;
  for (const Tensor& x : tensors) {
    copy_view(x.device(), x.raw(), part(y.raw(), along, begin, x.size(along)));
    begin += x.size(along);
  }
  return y;
}

Tensor narrow(const Tensor& x, int axis, std::int64_t begin, std::int64_t length) {
  require_defined("narrow", "x", x);
  const int along = checked_axis("narrow", x, axis);
  DLCUDA_CHECK(begin >= 0 && length >= 0 && begin <= x.size(along) - length, ShapeError,
               "narrow: {} elements from {} on do not lie in axis {} of shape {}", length, begin, along,
               to_string(x.shape()));
  Tensor y = result_like(x, with_extent(x, along, length));
  copy_view(x.device(), part(x.raw(), along, begin, length), y.raw());
  return y;
}

Tensor flip(const Tensor& x, std::span<const int> axes) {
  require_defined("flip", "x", x);
  Tensor y = result_like(x, x.shape());
  TensorView from = x.raw();
  std::vector<bool> seen(static_cast<std::size_t>(x.rank()));
  for (const int axis : axes) {
    const int along = checked_axis("flip", x, axis);
    DLCUDA_CHECK(!seen[static_cast<std::size_t>(along)], ArgumentError, "flip: axis {} is named twice", axis);
    seen[static_cast<std::size_t>(along)] = true;
    if (x.size(along) > 0) from = moved(from, along, x.size(along) - 1);
    from.strides[along] = -from.strides[along];
  }
  copy_view(x.device(), from, y.raw());
  return y;
}

Tensor permute(const Tensor& x, std::span<const int> order) {
  require_defined("permute", "x", x);
  DLCUDA_CHECK(static_cast<int>(order.size()) == x.rank(), ShapeError,
               "permute: x of shape {} needs an order of {} axes, got {}", to_string(x.shape()), x.rank(),
               order.size());
  std::vector<int> axes;
  std::vector<std::int64_t> extents;
  for (const int axis : order) {
    const int from = checked_axis("permute", x, axis);
    DLCUDA_CHECK(std::find(axes.begin(), axes.end(), from) == axes.end(), ArgumentError,
                 "permute: axis {} is named twice", axis);
    axes.push_back(from);
    extents.push_back(x.size(from));
  }
  Tensor y = Tensor::empty(Shape(std::span<const std::int64_t>(extents)), x.dtype(), x.device());
  copy_view(x.device(), reordered(x.raw(), axes), y.raw());
  return y;
}

Tensor pixel_shuffle(const Tensor& x, std::int64_t factor) {
  return to_picture("pixel_shuffle", x, factor, ChannelOrder::PixelsInside);
}
Tensor pixel_unshuffle(const Tensor& x, std::int64_t factor) {
  return to_channels("pixel_unshuffle", x, factor, ChannelOrder::PixelsInside);
}
Tensor space_to_depth(const Tensor& x, std::int64_t factor) {
  return to_channels("space_to_depth", x, factor, ChannelOrder::PixelsOutside);
}
Tensor depth_to_space(const Tensor& x, std::int64_t factor) {
  return to_picture("depth_to_space", x, factor, ChannelOrder::PixelsOutside);
}

}  // namespace dlcuda::kernels

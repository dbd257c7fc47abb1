#include "dlcuda/kernels/pad.h"

#include <algorithm>
#include <vector>

#include "dlcuda/kernels/checks.h"
#include "dlcuda/kernels/dispatch.h"

namespace dlcuda::kernels {
namespace {

/// Axes of y in the order of memory; those of extent 1 in which nothing was cut or added have no part in it.
PadAxes axes_of(const TensorView& kept, const TensorView& y, std::span<const AxisPadding> padding) {
  std::vector<int> order;
  for (int axis = 0; axis < y.rank; ++axis) {
    if (y.shape[axis] != 1 || kept.shape[axis] != 1) order.push_back(axis);
  }
  std::stable_sort(order.begin(), order.end(), [&](int a, int b) { return y.strides[a] > y.strides[b]; });
  PadAxes axes;
  axes.count = y.numel();
  for (const int axis : order) {
    const std::int64_t before = std::max<std::int64_t>(padding[static_cast<std::size_t>(axis)].before, 0);
    const std::int64_t extent = y.shape[axis], inside = kept.shape[axis], stride = kept.strides[axis];
    const int last = axes.rank - 1;
    if (last >= 0 && inside == extent && axes.stride[last] == stride * extent) {
      axes.extent[last] *= extent;
      axes.before[last] *= extent;
      axes.kept[last] *= extent;
      axes.stride[last] = stride;
      continue;
    }
    const int place = axes.rank++;
    axes.extent[place] = extent;
    axes.before[place] = before;
    axes.kept[place] = inside;
    axes.stride[place] = stride;
  }
  return axes;
}

}  // namespace

Tensor pad(const Tensor& x, std::span<const AxisPadding> padding, double value) {
  require_defined("pad", "x", x);
  DLCUDA_CHECK(static_cast<int>(padding.size()) == x.rank(), ShapeError,
               "pad: x of shape {} needs {} entries of padding, got {}", to_string(x.shape()), x.rank(),
               padding.size());
  TensorView kept = x.raw();
  std::int64_t begin = 0;  // of it, in elements
  std::vector<std::int64_t> extents;
  for (int axis = 0; axis < x.rank(); ++axis) {
    const auto [before, after] = padding[static_cast<std::size_t>(axis)];
    const std::int64_t extent = x.size(axis), cut_before = std::min<std::int64_t>(before, 0),
                       cut_after = std::min<std::int64_t>(after, 0);
    // Compared in an order in which nothing overflows.
    DLCUDA_CHECK(cut_before >= -extent && cut_after >= -(extent + cut_before), ShapeError,
                 "pad: {} and {} take more from axis {} of shape {} than there is", before, after, axis,
                 to_string(x.shape()));
    kept.shape[axis] = extent + cut_before + cut_after;
    begin -= cut_before * kept.strides[axis];
    std::int64_t padded = kept.shape[axis];
    DLCUDA_CHECK(!__builtin_add_overflow(padded, before - cut_before, &padded) &&
                     !__builtin_add_overflow(padded, after - cut_after, &padded),
                 ShapeError, "pad: with {} and {} axis {} of shape {} becomes longer than 2^63 - 1", before,
                 after, axis, to_string(x.shape()));
    extents.push_back(padded);
  }
  const MemoryFormat format = x.rank() == 4 ? x.format() : MemoryFormat::Contiguous;
  Tensor y = Tensor::empty(Shape(std::span<const std::int64_t>(extents)), x.dtype(), x.device(), format);
  if (y.numel() == 0) return y;
  // An empty tensor may have no memory to move in.
  if (kept.numel() > 0) {
    kept.data = static_cast<char*>(kept.data) + begin * static_cast<std::int64_t>(size_of(x.dtype()));
  }
  DLCUDA_DISPATCH_LOOPS(x.device(), pad, kept, y.raw(), axes_of(kept, y.raw(), padding), value);
  return y;
}

}  // namespace dlcuda::kernels

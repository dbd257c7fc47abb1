#include "dlcuda/kernels/reduce.h"

#include <algorithm>
#include <array>
#include <numeric>
#include <vector>

#include "dlcuda/kernels/arithmetic.h"
#include "dlcuda/kernels/axis_layout.h"
#include "dlcuda/kernels/dispatch.h"
#include "dlcuda/kernels/layout.h"

namespace dlcuda::kernels {
namespace {

/// Which axes are reduced.
using Mask = std::array<bool, kMaxRank>;

Mask mask_of(const char* op, const Tensor& x, std::span<const int> axes) {
  Mask mask{};
  if (axes.empty()) std::fill_n(mask.begin(), x.rank(), true);
  for (const int axis : axes) {
    bool& reduced = mask[static_cast<std::size_t>(checked_axis(op, x, axis))];
    DLCUDA_CHECK(!reduced, ArgumentError, "{}: axis {} is named twice", op, axis);
    reduced = true;
  }
  return mask;
}

Shape shape_of(const std::vector<std::int64_t>& extents) {
  return Shape(std::span<const std::int64_t>(extents));
}

/// The axes of x in the order of memory, the slowest first.
std::vector<int> memory_order(const Tensor& x) {
  std::vector<int> order(static_cast<std::size_t>(x.rank()));
  std::iota(order.begin(), order.end(), 0);
  if (x.is_channels_last() && !x.is_contiguous()) order = {0, 2, 3, 1};
  return order;
}

/// Runs of reduced and of other axes, in the order of memory, without axes of extent 1: (kept, reduced, kept)
/// at most, or nothing where there are more.
bool as_middle(const Tensor& x, const std::vector<int>& order, const Mask& reduced, TensorView& middle) {
  std::array<std::int64_t, 3> extents{1, 1, 1};
  int part = 0;
  for (const int axis : order) {
    if (x.size(axis) == 1) continue;
    const bool inside = reduced[static_cast<std::size_t>(axis)];
    if (inside && part == 0) part = 1;
    if (!inside && part == 1) part = 2;
    if (inside && part == 2) return false;
    extents[static_cast<std::size_t>(part)] *= x.size(axis);
  }
  middle = x.raw();
  middle.rank = 3;
  std::copy(extents.begin(), extents.end(), middle.shape);
  return true;
}

}  // namespace

Tensor reduce(const Tensor& x, Reduction reduction, std::span<const int> axes, bool keep) {
  require_floating("reduce", "x", x);
  require_dense("reduce", "x", x);
  const Mask reduced = mask_of("reduce", x, axes);
  std::vector<std::int64_t> remaining, kept;
  std::int64_t count = 1;
  for (int axis = 0; axis < x.rank(); ++axis) {
    const bool inside = reduced[static_cast<std::size_t>(axis)];
    if (inside) count *= x.size(axis);
    if (!inside) remaining.push_back(x.size(axis));
    kept.push_back(inside ? 1 : x.size(axis));
  }
  const bool needs_elements = reduction == Reduction::Max || reduction == Reduction::Min;
  DLCUDA_CHECK(!needs_elements || count > 0 || shape_of(remaining).numel() == 0, ShapeError,
               "reduce: the maximum or minimum of no elements, shape {}", to_string(x.shape()));

  // Axes that do not lie together are brought behind the others.
  Tensor source = x.detach();
  const std::vector<int> order = memory_order(source);
  TensorView middle;
  bool ordered = true;  // whether what remains lies in the order of the result
  if (as_middle(source, order, reduced, middle)) {
    std::vector<int> left;
    for (const int axis : order) {
      if (!reduced[static_cast<std::size_t>(axis)] && source.size(axis) != 1) left.push_back(axis);
    }
    ordered = std::is_sorted(left.begin(), left.end());
  } else {
    ordered = false;
  }
  if (!ordered) {
    std::vector<int> axes_behind, all;
    for (int axis = 0; axis < x.rank(); ++axis) {
      (reduced[static_cast<std::size_t>(axis)] ? axes_behind : all).push_back(axis);
    }
    all.insert(all.end(), axes_behind.begin(), axes_behind.end());
    source = permute(source, all);
    middle = source.raw();
    middle.rank = 3;
    middle.shape[0] = shape_of(remaining).numel();
    middle.shape[1] = count;
    middle.shape[2] = 1;
  }

  Tensor y = Tensor::empty(shape_of(remaining), x.dtype(), x.device());
  if (y.numel() > 0) {
    TensorView out = y.raw();
    out.rank = 2;
    out.shape[0] = middle.shape[0];
    out.shape[1] = middle.shape[2];
    DLCUDA_DISPATCH_LOOPS(x.device(), reduce, middle, out, reduction);
  }
  return keep ? y.view(shape_of(kept)) : y;
}

Tensor reduce(const Tensor& x, Reduction reduction, std::optional<int> axis) {
  if (!axis) return reduce(x, reduction, std::span<const int>{});
  return reduce(x, reduction, std::array{*axis});
}

Tensor reduce_backward(const Tensor& dy, const Shape& x_shape, Reduction reduction) {
  require_floating("reduce_backward", "dy", dy);
  require_dense("reduce_backward", "dy", dy);
  DLCUDA_CHECK(reduction == Reduction::Sum || reduction == Reduction::Mean, ArgumentError,
               "reduce_backward: only Sum and Mean are repeated; see functional::amax for the others");
  DLCUDA_CHECK(
      broadcast_shape("reduce_backward", dy.shape(), x_shape) == x_shape && dy.rank() == x_shape.rank(),
      ShapeError, "reduce_backward: dy of shape {} is not x_shape {} with extents of 1",
      to_string(dy.shape()), to_string(x_shape));
  Tensor zero = Tensor::zeros(x_shape, dy.dtype(), dy.device());
  if (reduction == Reduction::Sum || x_shape.numel() == 0) return add(dy, zero);
  const double count = static_cast<double>(x_shape.numel() / dy.numel());
  return add(scale(dy, 1 / count), zero);
}

Tensor sum_to(const Tensor& x, const Shape& shape) {
  if (x.shape() == shape) return x;
  DLCUDA_CHECK(broadcast_shape("sum_to", x.shape(), shape) == x.shape(), ShapeError,
               "sum_to: {} does not broadcast to {}", to_string(shape), to_string(x.shape()));
  std::vector<int> axes;
  const int missing = x.rank() - shape.rank();
  for (int axis = 0; axis < x.rank(); ++axis) {
    if (axis < missing || (shape[axis - missing] == 1 && x.size(axis) != 1)) axes.push_back(axis);
  }
  const Tensor dense = x.is_dense() ? x : x.clone();
  if (axes.empty()) return dense.view(shape);
  return reduce(dense, Reduction::Sum, axes).view(shape);
}

namespace {

Tensor arg(const char* op, const Tensor& x, int axis, bool smallest) {
  require_floating(op, "x", x);
  require_dense(op, "x", x);
  const int along = checked_axis(op, x, axis);
  std::vector<std::int64_t> remaining;
  for (int other = 0; other < x.rank(); ++other) {
    if (other != along) remaining.push_back(x.size(other));
  }
  const Shape shape = shape_of(remaining);
  DLCUDA_CHECK(x.size(along) > 0 || shape.numel() == 0, ShapeError, "{}: axis {} of shape {} is empty", op,
               axis, to_string(x.shape()));
  Tensor y = Tensor::empty(shape, DType::I64, x.device());
  // What remains of channels-last lies in another order than the result, unless the channels go.
  const bool in_order = x.is_contiguous() || along == 1;
  Tensor source = x.detach();
  if (!in_order) {
    std::vector<int> same(static_cast<std::size_t>(x.rank()));
    std::iota(same.begin(), same.end(), 0);
    source = permute(source, same);
  }
  TensorView out = y.raw();
  DLCUDA_DISPATCH_LOOPS(x.device(), argmax, along_axis(source, along), out, smallest);
  return y;
}

}  // namespace

Tensor argmax(const Tensor& x, int axis) { return arg("argmax", x, axis, false); }
Tensor argmin(const Tensor& x, int axis) { return arg("argmin", x, axis, true); }

}  // namespace dlcuda::kernels

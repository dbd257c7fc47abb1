#include "dlcuda/kernels/indexing.h"

#include <vector>

#include "dlcuda/kernels/axis_layout.h"
#include "dlcuda/kernels/dispatch.h"
#include "dlcuda/kernels/pad.h"

namespace dlcuda::kernels {
namespace {

void check_index_values(const char* op, const TensorView& index, std::int64_t extent) {
  const auto* values = index.as<const std::int64_t>();
  for (std::int64_t i = 0; i < index.numel(); ++i) {
    DLCUDA_CHECK(values[i] >= 0 && values[i] < extent, ArgumentError,
                 "{}: index {} at position {} is out of range; expected 0 to {}", op, values[i], i,
                 extent - 1);
  }
}

/// On the CPU: every index is in range. (On CUDA the kernels see to it.)
void check_range(const char* op, const Tensor& index, std::int64_t extent) {
  if (index.device().is_cpu()) capture::call(check_index_values, op, index.raw(), extent);
}

void check_data(const char* op, const char* name, const Tensor& x, const Tensor& index, bool shared) {
  require_defined(op, name, x);
  shared ? require_dense(op, name, x) : require_contiguous(op, name, x);
  require_dtype(op, "index", index, DType::I64);
  require_device(op, "index", index, x.device());
  require_contiguous(op, "index", index);
}

Shape with_extent(const Shape& shape, int axis, std::int64_t extent) {
  std::vector<std::int64_t> extents(shape.extents().begin(), shape.extents().end());
  extents[static_cast<std::size_t>(axis)] = extent;
  return Shape(std::span<const std::int64_t>(extents));
}

/// What of `shape` an index takes part of: the index's extents, but all of the axis. Throws where index has
/// more.
Shape reached(const char* op, const Shape& shape, int axis, const Tensor& index) {
  const Shape part = with_extent(index.shape(), axis, shape[axis]);
  for (int other = 0; other < part.rank(); ++other) {
    DLCUDA_CHECK(part[other] <= shape[other], ShapeError,
                 "{}: index of shape {} reaches beyond axis {} of shape {}", op, to_string(index.shape()),
                 other, to_string(shape));
  }
  return part;
}

/// x with another shape: cut, or filled up with zeros, at the end of each axis.
Tensor fitted(const Tensor& x, const Shape& shape) {
  if (x.shape() == shape) return x;
  std::vector<AxisPadding> padding;
  for (int axis = 0; axis < x.rank(); ++axis) padding.push_back({0, shape[axis] - x.size(axis)});
  return pad(x, padding);
}

Tensor forward(const char* op, const Tensor& x, int axis, const Tensor& index, bool shared) {
  check_data(op, "x", x, index, shared);
  const int along = checked_axis(op, x, axis);
  require_rank(op, "index", index, shared ? 1 : x.rank());
  const Tensor from = shared ? x : fitted(x, reached(op, x.shape(), along, index));
  check_range(op, index, x.size(along));
  const MemoryFormat format = shared ? x.format() : MemoryFormat::Contiguous;
  const bool last = format == MemoryFormat::ChannelsLast;
  Tensor y = Tensor::empty(with_extent(from.shape(), along, index.size(shared ? 0 : along)), x.dtype(),
                           x.device(), format);
  DLCUDA_DISPATCH_LOOPS(x.device(), gather, along_axis(from, along, last), index.raw(),
                        along_axis(y, along, last), shared);
  return y;
}

Tensor backward(const char* op, const Tensor& dy, const Shape& x_shape, int axis, const Tensor& index,
                bool shared, std::int64_t skip) {
  require_floating(op, "dy", dy);
  check_data(op, "dy", dy, index, shared);
  const int along = checked_axis(op, dy, axis);
  require_rank(op, "index", index, shared ? 1 : dy.rank());
  DLCUDA_CHECK(x_shape.rank() == dy.rank(), ShapeError, "{}: dy of shape {} does not fit x_shape {}", op,
               to_string(dy.shape()), to_string(x_shape));
  const Shape part = shared ? x_shape : reached(op, x_shape, along, index);
  require_shape(op, "dy", dy, with_extent(part, along, index.size(shared ? 0 : along)));
  check_range(op, index, x_shape[along]);
  const MemoryFormat format = shared ? dy.format() : MemoryFormat::Contiguous;
  const bool last = format == MemoryFormat::ChannelsLast;
  Tensor dx = Tensor::empty(part, dy.dtype(), dy.device(), format);
  dx.zero();
  DLCUDA_DISPATCH_LOOPS(dy.device(), gather_backward, along_axis(dy, along, last), index.raw(),
                        along_axis(dx, along, last), shared, skip);
  return fitted(dx, x_shape);
}

}  // namespace

Tensor gather(const Tensor& x, int axis, const Tensor& index) {
  return forward("gather", x, axis, index, false);
}
Tensor gather_backward(const Tensor& dy, const Shape& x_shape, int axis, const Tensor& index) {
  return backward("gather_backward", dy, x_shape, axis, index, false, -1);
}

Tensor index_select(const Tensor& x, int axis, const Tensor& index) {
  return forward("index_select", x, axis, index, true);
}
Tensor index_select_backward(const Tensor& dy, const Shape& x_shape, int axis, const Tensor& index,
                             std::int64_t skip) {
  return backward("index_select_backward", dy, x_shape, axis, index, true, skip);
}

Tensor one_hot(const Tensor& labels, std::int64_t classes, DType dtype) {
  require_dtype("one_hot", "labels", labels, DType::I64);
  require_contiguous("one_hot", "labels", labels);
  DLCUDA_CHECK(classes >= 1, ArgumentError, "one_hot: classes must be at least 1, got {}", classes);
  DLCUDA_CHECK(!(labels.device().is_cuda() && dtype == DType::F64), DTypeError,
               "one_hot: f64 runs on the CPU only; ask for f32");
  check_range("one_hot", labels, classes);
  std::vector<std::int64_t> extents(labels.shape().extents().begin(), labels.shape().extents().end());
  extents.push_back(classes);
  Tensor y = Tensor::empty(Shape(std::span<const std::int64_t>(extents)), dtype, labels.device());
  DLCUDA_DISPATCH_LOOPS(labels.device(), one_hot, labels.raw(), y.raw());
  return y;
}

}  // namespace dlcuda::kernels

#include "dlcuda/kernels/pool2d.h"

#include "dlcuda/kernels/checks.h"
#include "dlcuda/kernels/copy.h"
#include "dlcuda/kernels/dispatch.h"

namespace dlcuda::kernels {
namespace {

constexpr std::int64_t kLargest = std::int64_t{1} << 31;  // indices within a plane are i32

std::int64_t extent(const char* side, std::int64_t in, std::int64_t kernel, std::int64_t stride,
                    std::int64_t padding, bool ceil_mode) {
  DLCUDA_CHECK(kernel >= 1 && stride >= 1, ArgumentError,
               "pool2d: kernel and stride must be at least 1, got {} and {}", kernel, stride);
  DLCUDA_CHECK(padding >= 0 && padding <= kernel / 2, ArgumentError,
               "pool2d: padding must be between 0 and half the kernel ({}), got {}", kernel / 2, padding);
  DLCUDA_CHECK(kernel < kLargest && stride < kLargest && in < kLargest, ShapeError,
               "pool2d: {} {} with a window of {} and a stride of {} is too large", side, in, kernel, stride);
  // In ceil mode a window may reach beyond the input by less than a stride, even if it is the only one.
  const std::int64_t room = in + 2 * padding - kernel + (ceil_mode ? stride - 1 : 0);
  DLCUDA_CHECK(room >= 0 && (in > 0 || !ceil_mode), ShapeError,
               "pool2d: a window of {} does not fit into an input of {} {} with padding {}", kernel, side, in,
               padding);
  std::int64_t windows = room / stride + 1;
  // None begins in the padding behind the input.
  if (ceil_mode && (windows - 1) * stride >= in + padding) --windows;
  return windows;
}

PoolGeometry geometry(const Shape& x, const Shape& y, const Pool2dParams& params) {
  const auto windows = [&](std::size_t axis) {
    return PoolWindows{params.kernel[axis], params.stride[axis], params.padding[axis],
                       x[2 + int(axis)],    y[2 + int(axis)],    false};
  };
  return {windows(0), windows(1), params.count_include_pad};
}

PoolGeometry adaptive_geometry(const Shape& x, const Shape& y) {
  return {{1, 1, 0, x[2], y[2], true}, {1, 1, 0, x[3], y[3], true}, false};
}

Shape adaptive_shape(const char* op, const Shape& x, std::array<std::int64_t, 2> size) {
  DLCUDA_CHECK(x.rank() == 4, ShapeError, "{}: x must have 4 axes (N, C, H, W), got shape {}", op,
               to_string(x));
  DLCUDA_CHECK(size[0] >= 1 && size[1] >= 1, ArgumentError,
               "{}: height and width must be at least 1, got {} and {}", op, size[0], size[1]);
  DLCUDA_CHECK(x[2] >= 1 && x[3] >= 1, ShapeError, "{}: pictures must have at least one pixel, got {}", op,
               to_string(x));
  DLCUDA_CHECK(x[2] < kLargest && x[3] < kLargest && size[0] < kLargest && size[1] < kLargest, ShapeError,
               "{}: {} to {} x {} is too large", op, to_string(x), size[0], size[1]);
  return Shape{x[0], x[1], size[0], size[1]};
}

void require_pictures(const char* op, const char* name, const Tensor& x) {
  require_floating(op, name, x);
  require_rank(op, name, x, 4);
}

void require_input(const char* op, const char* name, const Tensor& x) {
  require_pictures(op, name, x);
  require_dense(op, name, x);
}

}  // namespace

Shape pool2d_shape(const Shape& x, const Pool2dParams& params) {
  DLCUDA_CHECK(x.rank() == 4, ShapeError, "pool2d: x must have 4 axes (N, C, H, W), got shape {}",
               to_string(x));
  return Shape{
      x[0], x[1],
      extent("height", x[2], params.kernel[0], params.stride[0], params.padding[0], params.ceil_mode),
      extent("width", x[3], params.kernel[1], params.stride[1], params.padding[1], params.ceil_mode)};
}

namespace {

Tensor average(const char* op, const Tensor& x, const Shape& shape, const PoolGeometry& pool) {
  require_input(op, "x", x);
  Tensor y = Tensor::empty(shape, x.dtype(), x.device(), x.format());
  DLCUDA_DISPATCH_LOOPS(x.device(), avg_pool2d_forward, x.raw(), y.raw(), pool);
  return y;
}

Tensor average_backward(const char* op, const Tensor& dy, const Shape& x_shape, const Shape& y_shape,
                        const PoolGeometry& pool) {
  require_input(op, "dy", dy);
  require_shape(op, "dy", dy, y_shape);
  Tensor dx = Tensor::empty(x_shape, dy.dtype(), dy.device(), dy.format());
  DLCUDA_DISPATCH_LOOPS(dy.device(), avg_pool2d_backward, dy.raw(), dx.raw(), pool);
  return dx;
}

MaxPool2dOutput maximum(const char* op, const Tensor& x, const Shape& shape, const PoolGeometry& pool) {
  DLCUDA_CHECK(x.size(2) * x.size(3) < kLargest, ShapeError,
               "{}: planes of {} have more elements than an i32 index can tell apart", op,
               to_string(x.shape()));
  MaxPool2dOutput out{Tensor::empty(shape, x.dtype(), x.device(), x.format()),
                      Tensor::empty(shape, DType::I32, x.device(), x.format())};
  const bool pixels = x.size(2) * x.size(3) > 1;  // else the formats are alike, and a slice is rows apart
  const bool in_place = x.device().is_cuda() && x.format() == MemoryFormat::ChannelsLast && pixels;
  const Tensor in = in_place ? x : to_format(x, x.format());
  DLCUDA_DISPATCH_LOOPS(x.device(), max_pool2d_forward, in.raw(), out.y.raw(), out.indices.raw(), pool);
  return out;
}

Tensor maximum_backward(const char* op, const Tensor& dy, const Tensor& indices, const Shape& x_shape,
                        const Shape& y_shape, const PoolGeometry& pool) {
  require_input(op, "dy", dy);
  require_shape(op, "dy", dy, y_shape);
  require_dtype(op, "indices", indices, DType::I32);
  require_shape(op, "indices", indices, dy.shape());
  require_device(op, "indices", indices, dy.device());
  DLCUDA_CHECK(indices.strides() == dy.strides(), ShapeError,
               "{}: indices are {} and dy is {}; convert one with kernels::to_format", op,
               to_string(indices.format()), to_string(dy.format()));
  Tensor dx = Tensor::empty(x_shape, dy.dtype(), dy.device(), dy.format());
  DLCUDA_DISPATCH_LOOPS(dy.device(), max_pool2d_backward, dy.raw(), indices.raw(), dx.raw(), pool);
  return dx;
}

Shape forward_shape(const char* op, const Tensor& x, const Pool2dParams& params) {
  require_input(op, "x", x);
  return pool2d_shape(x.shape(), params);
}

std::array<std::int64_t, 2> size_of_picture(const char* op, const Tensor& dy) {
  require_input(op, "dy", dy);
  return {dy.size(2), dy.size(3)};
}

}  // namespace

Tensor avg_pool2d_forward(const Tensor& x, const Pool2dParams& params) {
  const Shape shape = forward_shape("avg_pool2d", x, params);
  return average("avg_pool2d", x, shape, geometry(x.shape(), shape, params));
}

Tensor avg_pool2d_backward(const Tensor& dy, const Shape& x_shape, const Pool2dParams& params) {
  const Shape y_shape = pool2d_shape(x_shape, params);
  return average_backward("avg_pool2d_backward", dy, x_shape, y_shape, geometry(x_shape, y_shape, params));
}

MaxPool2dOutput max_pool2d_forward(const Tensor& x, const Pool2dParams& params) {
  require_pictures("max_pool2d", "x", x);
  const Shape shape = pool2d_shape(x.shape(), params);
  return maximum("max_pool2d", x, shape, geometry(x.shape(), shape, params));
}

Tensor max_pool2d_backward(const Tensor& dy, const Tensor& indices, const Shape& x_shape,
                           const Pool2dParams& params) {
  const Shape y_shape = pool2d_shape(x_shape, params);
  return maximum_backward("max_pool2d_backward", dy, indices, x_shape, y_shape,
                          geometry(x_shape, y_shape, params));
}

Tensor adaptive_avg_pool2d_forward(const Tensor& x, std::array<std::int64_t, 2> size) {
  const char* op = "adaptive_avg_pool2d";
  require_input(op, "x", x);
  const Shape shape = adaptive_shape(op, x.shape(), size);
  return average(op, x, shape, adaptive_geometry(x.shape(), shape));
}

Tensor adaptive_avg_pool2d_backward(const Tensor& dy, const Shape& x_shape) {
  const char* op = "adaptive_avg_pool2d_backward";
  const Shape y_shape = adaptive_shape(op, x_shape, size_of_picture(op, dy));
  return average_backward(op, dy, x_shape, y_shape, adaptive_geometry(x_shape, y_shape));
}

MaxPool2dOutput adaptive_max_pool2d_forward(const Tensor& x, std::array<std::int64_t, 2> size) {
  const char* op = "adaptive_max_pool2d";
  require_pictures(op, "x", x);
  const Shape shape = adaptive_shape(op, x.shape(), size);
  return maximum(op, x, shape, adaptive_geometry(x.shape(), shape));
}

Tensor adaptive_max_pool2d_backward(const Tensor& dy, const Tensor& indices, const Shape& x_shape) {
  const char* op = "adaptive_max_pool2d_backward";
  const Shape y_shape = adaptive_shape(op, x_shape, size_of_picture(op, dy));
  return maximum_backward(op, dy, indices, x_shape, y_shape, adaptive_geometry(x_shape, y_shape));
}

}  // namespace dlcuda::kernels

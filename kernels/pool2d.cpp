#include "dlcuda/kernels/pool2d.h"

#include "dlcuda/kernels/checks.h"
#include "dlcuda/kernels/dispatch.h"

namespace dlcuda::kernels {
namespace {

std::int64_t extent(const char* side, std::int64_t in, std::int64_t kernel, std::int64_t stride,
                    std::int64_t padding) {
  DLCUDA_CHECK(kernel >= 1 && stride >= 1, ArgumentError,
               "pool2d: kernel and stride must be at least 1, got {} and {}", kernel, stride);
  DLCUDA_CHECK(padding >= 0 && padding <= kernel / 2, ArgumentError,
               "pool2d: padding must be between 0 and half the kernel ({}), got {}", kernel / 2, padding);
  constexpr std::int64_t kLargest = std::int64_t{1} << 31;  // indices within a plane are i32
  DLCUDA_CHECK(kernel < kLargest && in < kLargest, ShapeError,
               "pool2d: {} {} with a window of {} is too large", side, in, kernel);
  DLCUDA_CHECK(in + 2 * padding >= kernel, ShapeError,
               "pool2d: a window of {} does not fit into an input of {} {} with padding {}", kernel, side, in,
               padding);
  return (in + 2 * padding - kernel) / stride + 1;
}

void require_input(const char* op, const char* name, const Tensor& x) {
  require_floating(op, name, x);
  require_rank(op, name, x, 4);
  require_dense(op, name, x);
}

}  // namespace

Shape pool2d_shape(const Shape& x, const Pool2dParams& params) {
  DLCUDA_CHECK(x.rank() == 4, ShapeError, "pool2d: x must have 4 axes (N, C, H, W), got shape {}",
               to_string(x));
  return Shape{x[0], x[1], extent("height", x[2], params.kernel[0], params.stride[0], params.padding[0]),
               extent("width", x[3], params.kernel[1], params.stride[1], params.padding[1])};
}

Tensor avg_pool2d_forward(const Tensor& x, const Pool2dParams& params) {
  require_input("avg_pool2d", "x", x);
  Tensor y = Tensor::empty(pool2d_shape(x.shape(), params), x.dtype(), x.device(), x.format());
  DLCUDA_DISPATCH_LOOPS(x.device(), avg_pool2d_forward(x.raw(), y.raw(), params));
  return y;
}

Tensor avg_pool2d_backward(const Tensor& dy, const Shape& x_shape, const Pool2dParams& params) {
  require_input("avg_pool2d_backward", "dy", dy);
  require_shape("avg_pool2d_backward", "dy", dy, pool2d_shape(x_shape, params));
  Tensor dx = Tensor::empty(x_shape, dy.dtype(), dy.device(), dy.format());
  DLCUDA_DISPATCH_LOOPS(dy.device(), avg_pool2d_backward(dy.raw(), dx.raw(), params));
  return dx;
}

MaxPool2dOutput max_pool2d_forward(const Tensor& x, const Pool2dParams& params) {
  require_input("max_pool2d", "x", x);
  const Shape shape = pool2d_shape(x.shape(), params);
  DLCUDA_CHECK(x.size(2) * x.size(3) < std::int64_t{1} << 31, ShapeError,
               "max_pool2d: planes of {} have more elements than an i32 index can tell apart",
               to_string(x.shape()));
  MaxPool2dOutput out{Tensor::empty(shape, x.dtype(), x.device(), x.format()),
                      Tensor::empty(shape, DType::I32, x.device(), x.format())};
  DLCUDA_DISPATCH_LOOPS(x.device(), max_pool2d_forward(x.raw(), out.y.raw(), out.indices.raw(), params));
  return out;
}

Tensor max_pool2d_backward(const Tensor& dy, const Tensor& indices, const Shape& x_shape,
                           const Pool2dParams& params) {
  const char* op = "max_pool2d_backward";
  require_input(op, "dy", dy);
  require_shape(op, "dy", dy, pool2d_shape(x_shape, params));
  require_dtype(op, "indices", indices, DType::I32);
  require_shape(op, "indices", indices, dy.shape());
  require_device(op, "indices", indices, dy.device());
  DLCUDA_CHECK(indices.strides() == dy.strides(), ShapeError,
               "{}: indices are {} and dy is {}; convert one with kernels::to_format", op,
               to_string(indices.format()), to_string(dy.format()));
  Tensor dx = Tensor::empty(x_shape, dy.dtype(), dy.device(), dy.format());
  DLCUDA_DISPATCH_LOOPS(dy.device(), max_pool2d_backward(dy.raw(), indices.raw(), dx.raw(), params));
  return dx;
}

}  // namespace dlcuda::kernels

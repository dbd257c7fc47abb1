#include "dlcuda/kernels/resample.h"

#include "dlcuda/kernels/checks.h"
#include "dlcuda/kernels/dispatch.h"

namespace dlcuda::kernels {
namespace {

void require_picture(const char* op, const char* name, const Tensor& x) {
  require_floating(op, name, x);
  require_rank(op, name, x, 4);
  require_dense(op, name, x);
}

Shape resized_shape(const char* op, const Shape& x, std::array<std::int64_t, 2> size, Resample mode) {
  DLCUDA_CHECK(mode != Resample::Reflect, ArgumentError, "{}: Reflect is a padding; use pad_reflect", op);
  DLCUDA_CHECK(size[0] >= 1 && size[1] >= 1 && x[2] >= 1 && x[3] >= 1, ShapeError,
               "{}: pictures must have at least one pixel, got {} to be resized to {} x {}", op, to_string(x),
               size[0], size[1]);
  // Twice an extent times another is computed.
  constexpr std::int64_t kLargest = std::int64_t{1} << 30;
  DLCUDA_CHECK(size[0] < kLargest && size[1] < kLargest && x[2] < kLargest && x[3] < kLargest, ShapeError,
               "{}: extents must be below 2^30, got {} to be resized to {} x {}", op, to_string(x), size[0],
               size[1]);
  return Shape{x[0], x[1], size[0], size[1]};
}

Shape padded_shape(const char* op, const Shape& x, std::array<std::int64_t, 4> padding) {
  for (const int side : {0, 1, 2, 3}) {
    const std::int64_t extent = x[2 + side % 2], p = padding[static_cast<std::size_t>(side)];
    DLCUDA_CHECK(p >= 0 && p < extent, ShapeError,
                 "{}: padding must be at least 0 and less than the extent, got {} for {}", op, p,
                 to_string(x));
  }
  return Shape{x[0], x[1], x[2] + padding[0] + padding[2], x[3] + padding[1] + padding[3]};
}

}  // namespace

Tensor resize(const Tensor& x, std::array<std::int64_t, 2> size, Resample mode) {
  require_picture("resize", "x", x);
  Tensor y = Tensor::empty(resized_shape("resize", x.shape(), size, mode), x.dtype(), x.device(), x.format());
  DLCUDA_DISPATCH_LOOPS(x.device(), resample_forward(x.raw(), y.raw(), mode, {0, 0}));
  return y;
}

Tensor resize_backward(const Tensor& dy, const Shape& x_shape, Resample mode) {
  const char* op = "resize_backward";
  require_picture(op, "dy", dy);
  DLCUDA_CHECK(x_shape.rank() == 4, ShapeError, "resize_backward: x_shape must have 4 axes, got {}",
               to_string(x_shape));
  require_shape(op, "dy", dy, resized_shape(op, x_shape, {dy.size(2), dy.size(3)}, mode));
  Tensor dx = Tensor::empty(x_shape, dy.dtype(), dy.device(), dy.format());
  DLCUDA_DISPATCH_LOOPS(dy.device(), resample_backward(dy.raw(), dx.raw(), mode, {0, 0}));
  return dx;
}

Tensor pad_reflect(const Tensor& x, std::array<std::int64_t, 4> padding) {
  require_picture("pad_reflect", "x", x);
  Tensor y =
      Tensor::empty(padded_shape("pad_reflect", x.shape(), padding), x.dtype(), x.device(), x.format());
  DLCUDA_DISPATCH_LOOPS(x.device(),
                        resample_forward(x.raw(), y.raw(), Resample::Reflect, {padding[0], padding[1]}));
  return y;
}

Tensor pad_reflect_backward(const Tensor& dy, const Shape& x_shape, std::array<std::int64_t, 4> padding) {
  const char* op = "pad_reflect_backward";
  require_picture(op, "dy", dy);
  DLCUDA_CHECK(x_shape.rank() == 4, ShapeError, "pad_reflect_backward: x_shape must have 4 axes, got {}",
               to_string(x_shape));
  require_shape(op, "dy", dy, padded_shape(op, x_shape, padding));
  Tensor dx = Tensor::empty(x_shape, dy.dtype(), dy.device(), dy.format());
  DLCUDA_DISPATCH_LOOPS(dy.device(),
                        resample_backward(dy.raw(), dx.raw(), Resample::Reflect, {padding[0], padding[1]}));
  return dx;
}

}  // namespace dlcuda::kernels

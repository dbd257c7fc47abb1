#include "dlcuda/kernels/resample.h"

#include <cmath>

#include "dlcuda/kernels/checks.h"
#include "dlcuda/kernels/dispatch.h"

namespace dlcuda::kernels {
namespace {

/// Padding above and to the left.
using Before = std::array<std::int64_t, 2>;

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
  // Twice an extent times another is computed; the nearest element is found in f32.
  const int bits = mode == Resample::Nearest ? 23 : 30;
  const std::int64_t largest = std::int64_t{1} << bits;
  DLCUDA_CHECK(size[0] < largest && size[1] < largest && x[2] < largest && x[3] < largest, ShapeError,
               "{}: extents must be below 2^{}, got {} to be resized to {} x {}", op, bits, to_string(x),
               size[0], size[1]);
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

std::array<std::int64_t, 2> scaled_size(const Shape& x, std::array<double, 2> scale) {
  DLCUDA_CHECK(x.rank() == 4, ShapeError, "scaled_size: x must have 4 axes, got {}", to_string(x));
  std::array<std::int64_t, 2> size{};
  for (const std::size_t side : {0, 1}) {
    DLCUDA_CHECK(scale[side] > 0 && std::isfinite(scale[side]), ArgumentError,
                 "scaled_size: scales must be positive, got {} and {}", scale[0], scale[1]);
    const double extent = std::floor(static_cast<double>(x[2 + static_cast<int>(side)]) * scale[side]);
    DLCUDA_CHECK(extent >= 1 && extent < 0x1p62, ShapeError,
                 "scaled_size: {} times {} and {} gives no picture", to_string(x), scale[0], scale[1]);
    size[side] = static_cast<std::int64_t>(extent);
  }
  return size;
}

Tensor resize(const Tensor& x, std::array<std::int64_t, 2> size, Resample mode) {
  require_picture("resize", "x", x);
  Tensor y = Tensor::empty(resized_shape("resize", x.shape(), size, mode), x.dtype(), x.device(), x.format());
  DLCUDA_DISPATCH_LOOPS(x.device(), resample_forward, x.raw(), y.raw(), mode, Before{0, 0});
  return y;
}

Tensor resize_backward(const Tensor& dy, const Shape& x_shape, Resample mode) {
  const char* op = "resize_backward";
  require_picture(op, "dy", dy);
  DLCUDA_CHECK(x_shape.rank() == 4, ShapeError, "resize_backward: x_shape must have 4 axes, got {}",
               to_string(x_shape));
  require_shape(op, "dy", dy, resized_shape(op, x_shape, {dy.size(2), dy.size(3)}, mode));
  Tensor dx = Tensor::empty(x_shape, dy.dtype(), dy.device(), dy.format());
  DLCUDA_DISPATCH_LOOPS(dy.device(), resample_backward, dy.raw(), dx.raw(), mode, Before{0, 0});
  return dx;
}

Tensor pad_reflect(const Tensor& x, std::array<std::int64_t, 4> padding) {
  require_picture("pad_reflect", "x", x);
  Tensor y =
      Tensor::empty(padded_shape("pad_reflect", x.shape(), padding), x.dtype(), x.device(), x.format());
  DLCUDA_DISPATCH_LOOPS(x.device(), resample_forward, x.raw(), y.raw(), Resample::Reflect,
                        Before{padding[0], padding[1]});
  return y;
}

Tensor pad_reflect_backward(const Tensor& dy, const Shape& x_shape, std::array<std::int64_t, 4> padding) {
  const char* op = "pad_reflect_backward";
  require_picture(op, "dy", dy);
  DLCUDA_CHECK(x_shape.rank() == 4, ShapeError, "pad_reflect_backward: x_shape must have 4 axes, got {}",
               to_string(x_shape));
  require_shape(op, "dy", dy, padded_shape(op, x_shape, padding));
  Tensor dx = Tensor::empty(x_shape, dy.dtype(), dy.device(), dy.format());
  DLCUDA_DISPATCH_LOOPS(dy.device(), resample_backward, dy.raw(), dx.raw(), Resample::Reflect,
                        Before{padding[0], padding[1]});
  return dx;
}

}  // namespace dlcuda::kernels

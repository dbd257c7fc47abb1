#include "dlcuda/kernels/conv2d.h"

#include <algorithm>
#include <limits>

#include "dlcuda/kernels/bias.h"
#include "dlcuda/kernels/conv2d_checks.h"
#include "dlcuda/kernels/dispatch.h"

namespace dlcuda::kernels {
namespace {

std::int64_t extent(const char* side, std::int64_t in, std::int64_t kernel, std::int64_t stride,
                    std::int64_t dilation, std::int64_t pad_begin, std::int64_t pad_end) {
  std::int64_t reach = 0, padded = 0;
  DLCUDA_CHECK(!__builtin_mul_overflow(dilation, kernel - 1, &reach) &&
                   !__builtin_add_overflow(reach, 1, &reach) &&
                   !__builtin_add_overflow(in, pad_begin, &padded) &&
                   !__builtin_add_overflow(padded, pad_end, &padded),
               ShapeError, "conv2d: {} {} with padding {} + {}, kernel {} and dilation {} is beyond 2^63 - 1",
               side, in, pad_begin, pad_end, kernel, dilation);
  DLCUDA_CHECK(padded >= reach, ShapeError,
               "conv2d: a kernel of {} with dilation {} covers {}, but x has {} {} with padding {} + {}",
               kernel, dilation, reach, side, in, pad_begin, pad_end);
  return (padded - reach) / stride + 1;
}

/// Zeros before and after an axis, so that its windows number ceil(in / stride).
std::array<std::int64_t, 2> same(std::int64_t in, std::int64_t kernel, std::int64_t stride,
                                 std::int64_t dilation) {
  DLCUDA_CHECK(std::min({kernel, stride, dilation}) >= 1, ArgumentError,
               "same_padding: kernel, stride and dilation must be at least 1, got {}, {} and {}", kernel,
               stride, dilation);
  if (in == 0) return {0, 0};                            // conv2d refuses it: not even one window
  const std::int64_t last = (in - 1) / stride * stride;  // where the last window begins in x
  std::int64_t reach = 0;
  DLCUDA_CHECK(!__builtin_mul_overflow(dilation, kernel - 1, &reach) &&
                   reach < std::numeric_limits<std::int64_t>::max() - last,
               ArgumentError, "same_padding: a kernel of {} with dilation {} is beyond 2^63 - 1", kernel,
               dilation);
  const std::int64_t missing = std::max<std::int64_t>(0, last + reach + 1 - in);
  return {missing / 2, missing - missing / 2};
}

/// Nothing to sum over: outputs are constants, and no library is asked.
bool is_empty(const Tensor& a, const Tensor& b) { return a.numel() == 0 || b.numel() == 0; }

}  // namespace

void require_image(const char* op, const char* name, const Tensor& x) {
  require_floating(op, name, x);
  require_rank(op, name, x, 4);
  require_dense(op, name, x);
}

void require_weight(const char* op, const Tensor& weight, const char* like_name, const Tensor& like) {
  require_rank(op, "weight", weight, 4);
  require_dense(op, "weight", weight);
  require_device(op, "weight", weight, like.device());
  DLCUDA_CHECK(weight.dtype() == like.dtype(), DTypeError, "{}: weight is {} and {} is {}; cast one", op,
               to_string(weight.dtype()), like_name, to_string(like.dtype()));
}

Conv2dParams same_padding(const Shape& x, const std::array<std::int64_t, 2>& kernel, Conv2dParams params) {
  DLCUDA_CHECK(x.rank() == 4, ShapeError, "same_padding: x must have 4 axes (N, C, H, W), got shape {}",
               to_string(x));
  for (const int axis : {0, 1}) {
    const auto zeros = same(x[2 + axis], kernel[axis], params.stride[axis], params.dilation[axis]);
    params.padding[axis] = zeros[0];
    params.padding[2 + axis] = zeros[1];
  }
  return params;
}

Conv2dParams valid_padding(Conv2dParams params) {
  params.padding = {0, 0, 0, 0};
  return params;
}

Shape conv2d_shape(const Shape& x, const Shape& weight, const Conv2dParams& params) {
  DLCUDA_CHECK(x.rank() == 4, ShapeError, "conv2d: x must have 4 axes (N, C, H, W), got shape {}",
               to_string(x));
  DLCUDA_CHECK(weight.rank() == 4, ShapeError,
               "conv2d: weight must have 4 axes (O, C / groups, KH, KW), got shape {}", to_string(weight));
  const auto& [stride, padding, dilation, groups] = params;
  DLCUDA_CHECK(std::min({stride[0], stride[1], dilation[0], dilation[1], groups}) >= 1, ArgumentError,
               "conv2d: stride, dilation and groups must be at least 1, got [{}], [{}] and {}",
               fmt::join(stride, ", "), fmt::join(dilation, ", "), groups);
  DLCUDA_CHECK(*std::min_element(padding.begin(), padding.end()) >= 0, ArgumentError,
               "conv2d: padding must not be negative, got [{}]", fmt::join(padding, ", "));
  DLCUDA_CHECK(weight[2] >= 1 && weight[3] >= 1, ShapeError,
               "conv2d: the kernel is empty, weight has shape {}", to_string(weight));
  DLCUDA_CHECK(weight[1] * groups == x[1], ShapeError,
               "conv2d: x has {} channels, weight {} with {} group(s) expects {}", x[1], to_string(weight),
               groups, weight[1] * groups);
  DLCUDA_CHECK(weight[0] % groups == 0, ShapeError, "conv2d: {} output channels do not divide into {} groups",
               weight[0], groups);
  return Shape{x[0], weight[0],
               extent("height", x[2], weight[2], stride[0], dilation[0], padding[0], padding[2]),
               extent("width", x[3], weight[3], stride[1], dilation[1], padding[1], padding[3])};
}

Shape check_conv2d(const char* op, const Tensor& x, const Tensor& weight, const Tensor& bias,
                   const Conv2dParams& params) {
  require_image(op, "x", x);
  require_weight(op, weight, "x", x);
  const Shape shape = conv2d_shape(x.shape(), weight.shape(), params);
  if (bias.defined()) {
    require_shape(op, "bias", bias, Shape{shape[1]});
    require_device(op, "bias", bias, x.device());
  }
  DLCUDA_CHECK(shape.numel() == 0 || !is_empty(x, weight), ShapeError, "{}: x {} has no channels", op,
               to_string(x.shape()));
  return shape;
}

Tensor conv2d_forward(const Tensor& x, const Tensor& weight, const Tensor& bias, const Conv2dParams& params) {
  const Shape shape = check_conv2d("conv2d", x, weight, bias, params);
  if (bias.defined()) require_dtype("conv2d", "bias", bias, x.dtype());
  Tensor y = Tensor::empty(shape, x.dtype(), x.device(), x.format());
  if (y.numel() == 0) return y;
  DLCUDA_DISPATCH(x.device(), conv2d_forward, x.raw(), weight.raw(), optional_view(bias), y.raw(), params);
  return y;
}

Tensor conv2d_backward_data(const Tensor& dy, const Tensor& weight, const Shape& x_shape,
                            const Conv2dParams& params) {
  const char* op = "conv2d_backward_data";
  require_image(op, "dy", dy);
  require_weight(op, weight, "dy", dy);
  require_shape(op, "dy", dy, conv2d_shape(x_shape, weight.shape(), params));
  Tensor dx = Tensor::empty(x_shape, dy.dtype(), dy.device(), dy.format());
  if (is_empty(dy, weight)) {
    dx.zero();
  } else if (dx.numel() > 0) {
    DLCUDA_DISPATCH(dy.device(), conv2d_backward_data, dy.raw(), weight.raw(), dx.raw(), params);
  }
  return dx;
}

Conv2dWeightGradients conv2d_backward_weight(const Tensor& x, const Tensor& dy, const Shape& weight_shape,
                                             const Conv2dParams& params, bool with_bias,
                                             MemoryFormat weight_format) {
  const char* op = "conv2d_backward_weight";
  require_image(op, "x", x);
  require_image(op, "dy", dy);
  require_shape(op, "dy", dy, conv2d_shape(x.shape(), weight_shape, params));
  require_dtype(op, "dy", dy, x.dtype());
  require_device(op, "dy", dy, x.device());
  DLCUDA_CHECK((x.is_contiguous() && dy.is_contiguous()) || (x.is_channels_last() && dy.is_channels_last()),
               ShapeError, "{}: x is {} and dy is {}; convert one with kernels::to_format", op,
               to_string(x.format()), to_string(dy.format()));
  Conv2dWeightGradients out;
  out.weight = Tensor::empty(weight_shape, x.dtype(), x.device(), weight_format);
  if (with_bias) out.bias = Tensor::empty(Shape{weight_shape[0]}, x.dtype(), x.device());
  if (is_empty(x, dy)) {
    out.weight.zero();
    if (with_bias) out.bias = bias_backward(dy);
  } else if (out.weight.numel() > 0) {
    DLCUDA_DISPATCH(x.device(), conv2d_backward_weight, x.raw(), dy.raw(), out.weight.raw(),
                    optional_view(out.bias), params);
  }
  return out;
}

}  // namespace dlcuda::kernels

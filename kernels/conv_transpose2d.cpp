#include "dlcuda/kernels/conv_transpose2d.h"

#include <algorithm>

#include "dlcuda/kernels/bias.h"
#include "dlcuda/kernels/checks.h"
#include "dlcuda/kernels/copy.h"
#include "dlcuda/kernels/dispatch.h"
#include "dlcuda/kernels/matmul.h"

namespace dlcuda::kernels {
namespace {

std::int64_t extent(const char* side, int axis, std::int64_t in, std::int64_t kernel,
                    const ConvTranspose2dParams& p) {
  std::int64_t steps = 0, reach = 0, out = 0;
  DLCUDA_CHECK(!__builtin_mul_overflow(in - 1, p.stride[axis], &steps) &&
                   !__builtin_mul_overflow(kernel - 1, p.dilation[axis], &reach) &&
                   !__builtin_add_overflow(steps, reach, &out) &&
                   !__builtin_add_overflow(out, p.output_padding[axis] + 1, &out) &&
                   !__builtin_sub_overflow(out, p.padding[axis], &out) &&
                   !__builtin_sub_overflow(out, p.padding[2 + axis], &out),
               ShapeError, "conv_transpose2d: the output's {} is beyond 2^63 - 1", side);
  DLCUDA_CHECK(
      out >= 1, ShapeError,
      "conv_transpose2d: nothing is left of the output's {}: x has {}, the kernel {} with stride {} and "
      "dilation {}, padding {} + {}",
      side, in, kernel, p.stride[axis], p.dilation[axis], p.padding[axis], p.padding[2 + axis]);
  return out;
}

void require_image(const char* op, const char* name, const Tensor& x) {
  require_floating(op, name, x);
  require_rank(op, name, x, 4);
  require_dense(op, name, x);
}

void require_weight(const char* op, const Tensor& weight, const Tensor& like) {
  require_rank(op, "weight", weight, 4);
  require_dense(op, "weight", weight);
  require_dtype(op, "weight", weight, like.dtype());
  require_device(op, "weight", weight, like.device());
}

constexpr MemoryFormat kLast = MemoryFormat::ChannelsLast;

/// Whether each output comes from one tap alone: windows stand side by side.
bool taps_never_meet(const Shape& weight, const ConvTranspose2dParams& params) {
  const ConvTranspose2dParams usual;
  return params.stride == std::array{weight[2], weight[3]} && params.padding == usual.padding &&
         params.output_padding == usual.output_padding && params.dilation == usual.dilation &&
         params.groups == 1;
}

/// A channels-last tensor as a matrix whose rows hold `axes` of its axes: a pixel's channels (1), or all
/// taps (KH KW O) of a filter (3).
TensorView rows_of(const Tensor& x, int axes) {
  TensorView rows = x.raw();
  rows.rank = 2;
  rows.shape[1] = rows.strides[0] = axes == 1 ? x.size(1) : x.size(1) * x.size(2) * x.size(3);
  rows.shape[0] = x.numel() / rows.shape[1];
  rows.strides[1] = 1;
  return rows;
}
TensorView pixel_rows(const Tensor& x) { return rows_of(x, 1); }
TensorView filter_rows(const Tensor& weight) { return rows_of(weight, 3); }

void forward(const Tensor& x, const Tensor& weight, const Tensor& bias, const Tensor& y,
             const ConvTranspose2dParams& params) {
  if (!taps_never_meet(weight.shape(), params)) {
    // oneDNN and the reference write dense pictures.
    const bool detour = x.device().is_cpu() && !y.is_dense();
    const Tensor out = detour ? Tensor::empty_like(y) : y;
    DLCUDA_DISPATCH(x.device(), conv_transpose2d_forward, x.raw(), weight.raw(), optional_view(bias),
                    out.raw(), params);
    if (detour) DLCUDA_DISPATCH_LOOPS(x.device(), copy, out.raw(), y.raw());
    return;
  }
  const Tensor pixels = to_format(x, kLast), filters = to_format(weight, kLast);
  const TensorView taps = filter_rows(filters);
  const Tensor rows =
      Tensor::empty({x.size(0) * x.size(2) * x.size(3), taps.shape[1]}, x.dtype(), x.device());
  DLCUDA_DISPATCH(x.device(), matmul, pixel_rows(pixels), taps, TensorView{}, rows.raw(), MatmulParams{});
  DLCUDA_DISPATCH_LOOPS(x.device(), spread_taps, rows.raw(), optional_view(bias), y.raw(), weight.size(2),
                        weight.size(3));
}

/// dy as rows (N H W, KH KW O).
Tensor tap_rows(const Tensor& dy, const Shape& weight) {
  const std::int64_t taps = weight[2] * weight[3], pixels = dy.size(0) * dy.size(2) * dy.size(3) / taps;
  Tensor rows = Tensor::empty({pixels, taps * dy.size(1)}, dy.dtype(), dy.device());
  DLCUDA_DISPATCH_LOOPS(dy.device(), gather_taps, dy.raw(), rows.raw(), weight[2], weight[3]);
  return rows;
}

/// Gradients from those rows.
Tensor data_of_rows(const Tensor& rows, const Tensor& weight, const Shape& x_shape, MemoryFormat format) {
  Tensor dx = Tensor::empty(x_shape, rows.dtype(), rows.device(), kLast);
  const Tensor filters = to_format(weight, kLast);
  DLCUDA_DISPATCH(rows.device(), matmul, rows.raw(), filter_rows(filters), TensorView{}, pixel_rows(dx),
                  MatmulParams{.transpose_b = true});
  return to_format(dx, format);
}
Tensor weight_of_rows(const Tensor& x, const Tensor& rows, const Shape& weight_shape, MemoryFormat format) {
  Tensor dw = Tensor::empty(weight_shape, rows.dtype(), rows.device(), kLast);
  const Tensor pixels = to_format(x, kLast);
  DLCUDA_DISPATCH(rows.device(), matmul, pixel_rows(pixels), rows.raw(), TensorView{}, filter_rows(dw),
                  MatmulParams{.transpose_a = true});
  return to_format(dw, format);
}

}  // namespace

Shape conv_transpose2d_shape(const Shape& x, const Shape& weight, const ConvTranspose2dParams& params) {
  DLCUDA_CHECK(x.rank() == 4, ShapeError, "conv_transpose2d: x must have 4 axes (N, C, H, W), got shape {}",
               to_string(x));
  DLCUDA_CHECK(weight.rank() == 4, ShapeError,
               "conv_transpose2d: weight must have 4 axes (C, O / groups, KH, KW), got shape {}",
               to_string(weight));
  const auto& [stride, padding, output_padding, dilation, groups] = params;
  DLCUDA_CHECK(std::min({stride[0], stride[1], dilation[0], dilation[1], groups}) >= 1, ArgumentError,
               "conv_transpose2d: stride, dilation and groups must be at least 1, got [{}], [{}] and {}",
               fmt::join(stride, ", "), fmt::join(dilation, ", "), groups);
  DLCUDA_CHECK(*std::min_element(padding.begin(), padding.end()) >= 0, ArgumentError,
               "conv_transpose2d: padding must not be negative, got [{}]", fmt::join(padding, ", "));
  for (const std::size_t axis : {0, 1}) {
    DLCUDA_CHECK(
        output_padding[axis] >= 0 && output_padding[axis] < stride[axis], ArgumentError,
        "conv_transpose2d: output_padding must be from 0 to the stride - 1, got [{}] for stride [{}]",
        fmt::join(output_padding, ", "), fmt::join(stride, ", "));
  }
  DLCUDA_CHECK(weight[1] >= 1 && weight[2] >= 1 && weight[3] >= 1, ShapeError,
               "conv_transpose2d: the kernel is empty, weight has shape {}", to_string(weight));
  DLCUDA_CHECK(x[1] >= 1 && weight[0] == x[1], ShapeError,
               "conv_transpose2d: x has {} channels, weight {} expects {}", x[1], to_string(weight),
               weight[0]);
  DLCUDA_CHECK(x[1] % groups == 0, ShapeError, "conv_transpose2d: {} channels do not divide into {} groups",
               x[1], groups);
  DLCUDA_CHECK(x[2] >= 1 && x[3] >= 1, ShapeError, "conv_transpose2d: x {} has no pixels", to_string(x));
  return Shape{x[0], weight[1] * groups, extent("height", 0, x[2], weight[2], params),
               extent("width", 1, x[3], weight[3], params)};
}

void conv_transpose2d_into(Tensor& y, const Tensor& x, const Tensor& weight, const Tensor& bias,
                           const ConvTranspose2dParams& params) {
  const char* op = "conv_transpose2d";
  require_image(op, "x", x);
  require_weight(op, weight, x);
  const Shape shape = conv_transpose2d_shape(x.shape(), weight.shape(), params);
  if (bias.defined()) {
    require_shape(op, "bias", bias, Shape{shape[1]});
    require_dtype(op, "bias", bias, x.dtype());
    require_device(op, "bias", bias, x.device());
  }
  require_shape(op, "y", y, shape);
  require_dtype(op, "y", y, x.dtype());
  require_device(op, "y", y, x.device());
  if (y.numel() == 0) return;
  forward(x, weight, bias, y, params);
  y.bump_version();
}

Tensor conv_transpose2d_forward(const Tensor& x, const Tensor& weight, const Tensor& bias,
                                const ConvTranspose2dParams& params) {
  const char* op = "conv_transpose2d";
  require_image(op, "x", x);
  require_rank(op, "weight", weight, 4);
  Tensor y = Tensor::empty(conv_transpose2d_shape(x.shape(), weight.shape(), params), x.dtype(), x.device(),
                           x.format());
  conv_transpose2d_into(y, x, weight, bias, params);
  return y;
}

Tensor conv_transpose2d_backward_data(const Tensor& dy, const Tensor& weight, const Shape& x_shape,
                                      const ConvTranspose2dParams& params) {
  const char* op = "conv_transpose2d_backward_data";
  require_image(op, "dy", dy);
  require_weight(op, weight, dy);
  require_shape(op, "dy", dy, conv_transpose2d_shape(x_shape, weight.shape(), params));
  if (!taps_never_meet(weight.shape(), params) || dy.numel() == 0) {
    Tensor dx = Tensor::empty(x_shape, dy.dtype(), dy.device(), dy.format());
    if (dx.numel() == 0) return dx;
    DLCUDA_DISPATCH(dy.device(), conv_transpose2d_backward_data, dy.raw(), weight.raw(), dx.raw(), params);
    return dx;
  }
  return data_of_rows(tap_rows(dy, weight.shape()), weight, x_shape, dy.format());
}

Tensor conv_transpose2d_backward_weight(const Tensor& x, const Tensor& dy, const Shape& weight_shape,
                                        const ConvTranspose2dParams& params, MemoryFormat weight_format) {
  const char* op = "conv_transpose2d_backward_weight";
  require_image(op, "x", x);
  require_image(op, "dy", dy);
  require_shape(op, "dy", dy, conv_transpose2d_shape(x.shape(), weight_shape, params));
  require_dtype(op, "dy", dy, x.dtype());
  require_device(op, "dy", dy, x.device());
  DLCUDA_CHECK((x.is_contiguous() && dy.is_contiguous()) || (x.is_channels_last() && dy.is_channels_last()),
               ShapeError, "{}: x is {} and dy is {}; convert one with kernels::to_format", op,
               to_string(x.format()), to_string(dy.format()));
  if (dy.numel() == 0) return Tensor::zeros(weight_shape, x.dtype(), x.device(), weight_format);
  if (taps_never_meet(weight_shape, params)) {
    return weight_of_rows(x, tap_rows(dy, weight_shape), weight_shape, weight_format);
  }
  Tensor dw = Tensor::empty(weight_shape, x.dtype(), x.device());
  DLCUDA_DISPATCH(x.device(), conv_transpose2d_backward_weight, x.raw(), dy.raw(), dw.raw(), params);
  return to_format(dw, weight_format);
}

ConvTranspose2dGradients conv_transpose2d_backward(const Tensor& dy, const ConvTranspose2dBackward& wanted,
                                                   const ConvTranspose2dParams& params) {
  const char* op = "conv_transpose2d_backward";
  const auto& [x, weight, x_shape, weight_shape, x_format, weight_format, wants_x, wants_weight, wants_bias] =
      wanted;
  require_floating(op, "dy", dy);
  require_shape(op, "dy", dy, conv_transpose2d_shape(x_shape, weight_shape, params));
  ConvTranspose2dGradients gradients;
  if (!taps_never_meet(weight_shape, params) || dy.numel() == 0) {
    const Tensor dense = to_format(dy, x_format);
    if (wants_x) gradients.x = conv_transpose2d_backward_data(dense, weight, x_shape, params);
    if (wants_weight) {
      gradients.weight = conv_transpose2d_backward_weight(to_format(x, x_format), dense, weight_shape, params,
                                                          weight_format);
    }
    if (wants_bias) gradients.bias = bias_backward(dense);
    return gradients;
  }
  const Tensor rows = tap_rows(dy, weight_shape);
  const auto require = [&](const char* name, const Tensor& given, const Shape& shape) {
    require_shape(op, name, given, shape);
    require_dense(op, name, given);
    require_dtype(op, name, given, dy.dtype());
    require_device(op, name, given, dy.device());
  };
  if (wants_x) {
    require("weight", weight, weight_shape);
    gradients.x = data_of_rows(rows, weight, x_shape, x_format);
  }
  if (wants_weight) {
    require("x", x, x_shape);
    gradients.weight = weight_of_rows(x, rows, weight_shape, weight_format);
  }
  if (wants_bias) gradients.bias = bias_backward(rows.view({-1, dy.size(1)}));
  return gradients;
}

}  // namespace dlcuda::kernels

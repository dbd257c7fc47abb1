#include "dlcuda/kernels/conv2d_norm.h"

#include <algorithm>
#include <array>
#include <atomic>

#include "dlcuda/kernels/axis_layout.h"
#include "dlcuda/kernels/conv2d_checks.h"
#include "dlcuda/kernels/dispatch.h"

namespace dlcuda::kernels {
namespace {

std::atomic<bool> absorption = true;

DType statistics_dtype(const Tensor& x) { return x.dtype() == DType::F64 ? DType::F64 : DType::F32; }

/// One input channel to a group. With a single input channel it is an ordinary convolution.
bool is_depthwise(const Shape& weight, const Conv2dParams& params) {
  return params.groups > 1 && weight[1] == 1;
}

NormViews checked_norm(const char* op, const KnownNorm& norm, const Tensor& x, const Shape& weight,
                       const Conv2dParams& params) {
  DLCUDA_CHECK(norm.activation == Activation::Relu || norm.activation == Activation::Relu6, ArgumentError,
               "{}: the activation between a norm and a convolution must be Relu or Relu6", op);
  const auto view = [&](const char* name, const Tensor& vector, DType dtype) {
    require_shape(op, name, vector, Shape{x.size(1)});
    require_dtype(op, name, vector, dtype);
    require_device(op, name, vector, x.device());
    require_contiguous(op, name, vector);
    return vector.raw();
  };
  const DType wide = statistics_dtype(x);
  const bool folded = norm.scale.defined() || !is_depthwise(weight, params);
  return {.mean = view("norm.mean", norm.mean, wide),
          .inverse_std = view("norm.inverse_std", norm.inverse_std, wide),
          .weight = view("norm.weight", norm.weight, wide),
          .bias = view("norm.bias", norm.bias, wide),
          .scale = folded ? view("norm.scale", norm.scale, x.dtype()) : TensorView{},
          .shift = folded ? view("norm.shift", norm.shift, x.dtype()) : TensorView{},
          .activation = norm.activation};
}

/// The gradient of an output of this shape, lying as x does.
void require_output(const char* op, const Tensor& dy, const Shape& shape, const Tensor& x) {
  require_shape(op, "dy", dy, shape);
  require_dtype(op, "dy", dy, x.dtype());
  require_device(op, "dy", dy, x.device());
  require_dense(op, "dy", dy);
  DLCUDA_CHECK((x.is_contiguous() && dy.is_contiguous()) || (x.is_channels_last() && dy.is_channels_last()),
               ShapeError, "{}: x is {} and dy is {}; convert one with kernels::to_format", op,
               to_string(x.format()), to_string(dy.format()));
}

/// Whether our own kernels take these in packs of channels, with taps that the compiler knows: elsewhere the
/// passes of their own cost less. Below 2^30 elements they count in 32 bits.
bool depthwise_absorbs_norms(const Tensor& x, const Tensor& weight, const Conv2dParams& params) {
  const std::array<std::int64_t, 2> ones{1, 1}, twos{2, 2};
  const bool known = weight.size(2) == 3 && weight.size(3) == 3 && params.dilation == ones &&
                     (params.stride == ones || params.stride == twos);
  const bool packs = weight.size(0) == x.size(1) && x.size(1) % 4 == 0;
  if (!known || !packs) return false;
  const Shape y = check_conv2d("conv2d_norm", x, weight, {}, params);
  return y.numel() > 0 && std::max(x.numel(), y.numel()) <= std::int64_t{1} << 30;
}

/// A picture without pixels has no statistics.
void require_values(const char* op, const char* name, const Shape& shape) {
  DLCUDA_CHECK(shape.numel() > 0, ShapeError, "{}: {} has no elements, its shape is {}", op, name,
               to_string(shape));
}

}  // namespace

bool allow_norm_absorption() { return absorption.load(std::memory_order_relaxed); }
void set_allow_norm_absorption(bool allow) { absorption.store(allow, std::memory_order_relaxed); }

bool conv2d_absorbs_norms(const Tensor& x, const Tensor& weight, const Conv2dParams& params, bool x_norm,
                          Activation activation) {
  if (!allow_norm_absorption() || !x.defined() || !x.device().is_cuda()) return false;
  if (x.rank() != 4 || !x.is_channels_last() || x.numel() == 0) return false;
  if (is_depthwise(weight.shape(), params)) return depthwise_absorbs_norms(x, weight, params);
  // What cuDNN's engines ask for, whatever the device; it has the last word.
  const bool candidate = x.dtype() == DType::F16 && params.groups == 1 && x.size(1) % 8 == 0 &&
                         weight.size(0) % 8 == 0 && (!x_norm || activation == Activation::Relu);
  if (!candidate) return false;
  const Shape y = check_conv2d("conv2d_norm", x, weight, {}, params);
  // One pixel lies the same way in both formats, and says nothing of the engines that would be asked for.
  const bool one_pixel = x.size(2) * x.size(3) == 1 && y[2] * y[3] == 1;
  if (y.numel() == 0 || one_pixel) return false;
  // There is no device to ask in a plan.
  if (capture::planning() != nullptr) return true;
  const dlcuda::cuda::DeviceScope scope(x.device().index);
  return cuda::conv2d_absorbs_norms(x.shape(), weight.shape(), y, x.dtype(), params, x_norm);
}

Conv2dWithTotals conv2d_norm_forward(const Tensor& x, const KnownNorm* norm, const Tensor& weight,
                                     const Conv2dParams& params) {
  const char* op = "conv2d_norm";
  const Shape shape = check_conv2d(op, x, weight, {}, params);
  require_values(op, "y", shape);
  const NormViews views = norm ? checked_norm(op, *norm, x, weight.shape(), params) : NormViews{};
  const Shape channels{shape[1]};
  const DType wide = statistics_dtype(x);
  Conv2dWithTotals out{
      .y = Tensor::empty(shape, x.dtype(), x.device(), x.format()),
      .totals = {Tensor::empty(channels, wide, x.device()), Tensor::empty(channels, wide, x.device())}};
  DLCUDA_DISPATCH(x.device(), conv2d_norm_forward, x.raw(), views, weight.raw(), out.y.raw(),
                  out.totals.sum.raw(), out.totals.squares.raw(), params);
  return out;
}

Tensor conv2d_norm_backward_weight(const Tensor& x, const KnownNorm& norm, const Tensor& dy,
                                   const Shape& weight_shape, const Conv2dParams& params,
                                   MemoryFormat weight_format) {
  const char* op = "conv2d_norm_backward_weight";
  require_image(op, "x", x);
  require_values(op, "x", x.shape());
  require_output(op, dy, conv2d_shape(x.shape(), weight_shape, params), x);
  const NormViews views = checked_norm(op, norm, x, weight_shape, params);
  Tensor dw = Tensor::empty(weight_shape, x.dtype(), x.device(), weight_format);
  DLCUDA_DISPATCH(x.device(), conv2d_norm_backward_weight, x.raw(), views, dy.raw(), dw.raw(), params);
  return dw;
}

BatchNormGradients conv2d_norm_backward_data(const Tensor& dy, const Tensor& weight, const Tensor& x,
                                             const KnownNorm& norm, const Conv2dParams& params) {
  const char* op = "conv2d_norm_backward_data";
  const Shape shape = check_conv2d(op, x, weight, {}, params);
  require_values(op, "y", shape);
  require_output(op, dy, shape, x);
  const NormViews views = checked_norm(op, norm, x, weight.shape(), params);
  // By what the convolution saw, through the activation; then through the norm.
  const Tensor dnormed = Tensor::empty_like(x);
  BatchNormGradients gradients{.x = Tensor::empty_like(x),
                               .weight = Tensor::empty_like(norm.mean),
                               .bias = Tensor::empty_like(norm.mean),
                               .residual = {}};
  DLCUDA_DISPATCH(x.device(), conv2d_norm_backward_data, dy.raw(), weight.raw(), x.raw(), views,
                  dnormed.raw(), gradients.weight.raw(), gradients.bias.raw(), params);
  const BatchNormBackwardViews through_norm{.dy = along_axis(dnormed, 1),
                                            .more = {},
                                            .x = along_axis(x, 1),
                                            .y = {},
                                            .weight = views.weight,
                                            .bias = views.bias,
                                            .mean = views.mean,
                                            .inverse_std = views.inverse_std};
  DLCUDA_DISPATCH_LOOPS(x.device(), batch_norm_backward_data, through_norm, gradients.weight.raw(),
                        gradients.bias.raw(), along_axis(gradients.x, 1), true,
                        ActivationParams{.kind = Activation::Identity});
  return gradients;
}

}  // namespace dlcuda::kernels

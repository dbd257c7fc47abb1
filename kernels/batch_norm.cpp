#include "dlcuda/kernels/batch_norm.h"

#include "dlcuda/kernels/axis_layout.h"
#include "dlcuda/kernels/copy.h"
#include "dlcuda/kernels/dispatch.h"

namespace dlcuda::kernels {
namespace {

DType statistics_dtype(const Tensor& x) { return x.dtype() == DType::F64 ? DType::F64 : DType::F32; }

void require_data(const char* op, const char* name, const Tensor& x) {
  require_floating(op, name, x);
  DLCUDA_CHECK(x.rank() == 2 || x.rank() == 4, ShapeError,
               "{}: {} must be (N, C) or (N, C, H, W), got shape {}", op, name, to_string(x.shape()));
  require_dense(op, name, x);
}

void require_vector(const char* op, const char* name, const Tensor& vector, const Shape& shape, DType dtype,
                    Device device) {
  require_dtype(op, name, vector, dtype);
  require_shape(op, name, vector, shape);
  require_device(op, name, vector, device);
  require_contiguous(op, name, vector);
}

/// One number for each channel.
void require_channels(const char* op, const char* name, const Tensor& parameter, const Tensor& x) {
  require_vector(op, name, parameter, Shape{x.size(1)}, statistics_dtype(x), x.device());
}

void require_optional_channels(const char* op, const char* name, const Tensor& parameter, const Tensor& x) {
  if (parameter.defined()) require_channels(op, name, parameter, x);
}

void require_activation(const char* op, const ActivationParams& activation) {
  DLCUDA_CHECK(!activation_saves_input(activation.kind), ArgumentError,
               "{}: this activation cannot be fused, because its gradient needs its input; call it by itself",
               op);
}

void require_params(const char* op, const BatchNormParams& params) {
  DLCUDA_CHECK(params.epsilon > 0, ArgumentError, "{}: epsilon must be positive, got {}", op, params.epsilon);
  DLCUDA_CHECK(params.momentum >= 0 && params.momentum <= 1, ArgumentError,
               "{}: momentum must be between 0 and 1, got {}", op, params.momentum);
}

void check_forward(const char* op, const Tensor& x, const Tensor& weight, const Tensor& bias,
                   const Tensor& residual, const BatchNormParams& params) {
  require_data(op, "x", x);
  require_optional_channels(op, "weight", weight, x);
  require_optional_channels(op, "bias", bias, x);
  if (residual.defined()) require_like(op, "residual", residual, "x", x);
  require_activation(op, params.activation);
  require_params(op, params);
}

/// The buffers that training moves, for x of these channels.
void require_running(const char* op, const Tensor& running_mean, const Tensor& running_var,
                     const Tensor& batches, const Shape& channels, DType dtype, Device device) {
  DLCUDA_CHECK(running_mean.defined() == running_var.defined(), ArgumentError,
               "{}: running_mean and running_var come together or not at all", op);
  if (running_mean.defined()) {
    require_vector(op, "running_mean", running_mean, channels, dtype, device);
    require_vector(op, "running_var", running_var, channels, dtype, device);
  }
  if (!batches.defined()) return;
  require_dtype(op, "batches", batches, DType::I64);
  require_device(op, "batches", batches, device);
  DLCUDA_CHECK(batches.numel() == 1, ShapeError, "{}: batches must have one element, got shape {}", op,
               to_string(batches.shape()));
}

void bump_running(const Tensor& running_mean, const Tensor& running_var, const Tensor& batches, bool moved) {
  if (batches.defined()) batches.bump_version();
  if (running_mean.defined() && moved) {
    running_mean.bump_version();
    running_var.bump_version();
  }
}

/// Like x, or a channel slice in its format.
void require_like_or_slice(const char* op, const char* name, const Tensor& tensor, const Tensor& x) {
  require_defined(op, name, tensor);
  if (tensor.is_dense()) return require_like(op, name, tensor, "x", x);
  require_shape(op, name, tensor, x.shape());
  require_dtype(op, name, tensor, x.dtype());
  require_device(op, name, tensor, x.device());
  const bool last = tensor.format() == MemoryFormat::ChannelsLast;
  DLCUDA_CHECK(last ? x.is_channels_last() : x.is_contiguous(), ShapeError,
               "{}: {} is a {} slice and x is {}; convert one with kernels::to_format", op, name,
               to_string(tensor.format()), to_string(x.format()));
}

/// Whether x and what is like it, or a slice, are seen as pixels by channels: where x lies in both orders,
/// the slice decides.
bool channels_come_last(const Tensor& x, const Tensor& other) {
  return other.is_dense() ? x.is_channels_last() && !x.is_contiguous()
                          : other.format() == MemoryFormat::ChannelsLast;
}

TensorView by_channel(const Tensor& x, bool channels_last) {
  if (!x.defined()) return {};
  TensorView view = along_axis(x, 1, channels_last);
  if (!x.is_dense()) view.strides[0] = x.strides()[channels_last ? 3 : 0];
  return view;
}
TensorView by_channel(const Tensor& x) { return by_channel(x, channels_come_last(x, x)); }

BatchNormOutput outputs_of(const Tensor& x, const Tensor& into) {
  const Shape channels{x.size(1)};
  const DType dtype = statistics_dtype(x);
  return {into.defined() ? into : Tensor::empty_like(x), Tensor::empty(channels, dtype, x.device()),
          Tensor::empty(channels, dtype, x.device())};
}

/// Whether the backend takes a slice of x's shape as it is; the CPU's loops go through dense tensors.
bool takes_slices(const Tensor& x) {
  constexpr std::int64_t kMost = std::int64_t{1} << 31;  // elements that kernels/cuda/batch_norm.cu numbers
  return x.device().is_cuda() && x.numel() < kMost;
}

void apply(const Tensor& x, const Tensor& weight, const Tensor& bias, const Tensor& residual,
           const ActivationParams& activation, const BatchNormOutput& out) {
  const bool detour = !out.y.is_dense() && !takes_slices(x);
  const Tensor y = detour ? Tensor::empty_like(x) : out.y;
  const bool last = channels_come_last(x, y);
  DLCUDA_DISPATCH_LOOPS(x.device(), batch_norm_apply, by_channel(x, last), out.mean.raw(),
                        out.inverse_std.raw(), optional_view(weight), optional_view(bias),
                        by_channel(residual, last), by_channel(y, last), activation);
  if (detour) DLCUDA_DISPATCH_LOOPS(x.device(), copy, y.raw(), out.y.raw());
  out.y.bump_version();
}

}  // namespace

BatchNormOutput batch_norm_training(const Tensor& x, const Tensor& weight, const Tensor& bias,
                                    const Tensor& residual, const Tensor& running_mean,
                                    const Tensor& running_var, const BatchNormParams& params,
                                    const Tensor& batches, const ChannelTotals& totals, const Tensor& into) {
  const char* op = "batch_norm";
  check_forward(op, x, weight, bias, residual, params);
  if (into.defined()) require_like_or_slice(op, "into", into, x);
  require_running(op, running_mean, running_var, batches, Shape{x.size(1)}, statistics_dtype(x), x.device());
  DLCUDA_CHECK(x.numel() == 0 || x.numel() > x.size(1), ShapeError,
               "batch_norm: in training a channel needs more than one value, got shape {}",
               to_string(x.shape()));
  BatchNormOutput out = outputs_of(x, into);
  if (totals.defined() && x.numel() > 0) {
    require_channels(op, "totals.sum", totals.sum, x);
    require_channels(op, "totals.squares", totals.squares, x);
    const TotalsViews views{.sum = totals.sum.raw(),
                            .squares = totals.squares.raw(),
                            .count = static_cast<double>(x.numel() / x.size(1)),
                            .weight = {},
                            .bias = {},
                            .running_mean = optional_view(running_mean),
                            .running_var = optional_view(running_var),
                            .batches = optional_view(batches),
                            .mean = out.mean.raw(),
                            .inverse_std = out.inverse_std.raw(),
                            .scale = {},
                            .shift = {}};
    DLCUDA_DISPATCH_LOOPS(x.device(), batch_norm_from_totals, views, params);
  } else {
    DLCUDA_DISPATCH_LOOPS(x.device(), batch_norm_statistics, by_channel(x), out.mean.raw(),
                          out.inverse_std.raw(), optional_view(running_mean), optional_view(running_var),
                          optional_view(batches), params);
  }
  bump_running(running_mean, running_var, batches, x.numel() > 0);
  apply(x, weight, bias, residual, params.activation, out);
  return out;
}

KnownNorm batch_norm_known(const ChannelTotals& totals, std::int64_t count, DType x_dtype,
                           const Tensor& weight, const Tensor& bias, const Tensor& running_mean,
                           const Tensor& running_var, const BatchNormParams& params, const Tensor& batches) {
  const char* op = "batch_norm_known";
  const Tensor& sum = totals.sum;
  DLCUDA_CHECK(is_floating_point(x_dtype), DTypeError, "{}: x_dtype must be floating-point, got {}", op,
               to_string(x_dtype));
  const DType dtype = x_dtype == DType::F64 ? DType::F64 : DType::F32;
  require_defined(op, "totals.sum", sum);
  DLCUDA_CHECK(sum.rank() == 1, ShapeError, "{}: totals.sum must be (C), got shape {}", op,
               to_string(sum.shape()));
  const Shape channels = sum.shape();
  const Device device = sum.device();
  require_vector(op, "totals.sum", sum, channels, dtype, device);
  require_vector(op, "totals.squares", totals.squares, channels, dtype, device);
  require_vector(op, "weight", weight, channels, dtype, device);
  require_vector(op, "bias", bias, channels, dtype, device);
  require_running(op, running_mean, running_var, batches, channels, dtype, device);
  require_params(op, params);
  DLCUDA_CHECK(count > 1, ShapeError, "{}: in training a channel needs more than one value, got {}", op,
               count);

  KnownNorm norm{.mean = Tensor::empty(channels, dtype, device),
                 .inverse_std = Tensor::empty(channels, dtype, device),
                 .weight = weight,
                 .bias = bias,
                 .scale = Tensor::empty(channels, x_dtype, device),
                 .shift = Tensor::empty(channels, x_dtype, device),
                 .activation = params.activation.kind};
  const TotalsViews views{.sum = sum.raw(),
                          .squares = totals.squares.raw(),
                          .count = static_cast<double>(count),
                          .weight = weight.raw(),
                          .bias = bias.raw(),
                          .running_mean = optional_view(running_mean),
                          .running_var = optional_view(running_var),
                          .batches = optional_view(batches),
                          .mean = norm.mean.raw(),
                          .inverse_std = norm.inverse_std.raw(),
                          .scale = norm.scale.raw(),
                          .shift = norm.shift.raw()};
  DLCUDA_DISPATCH_LOOPS(device, batch_norm_from_totals, views, params);
  bump_running(running_mean, running_var, batches, true);
  return norm;
}

KnownNorm batch_norm_known(const Tensor& x, const Tensor& weight, const Tensor& bias,
                           const Tensor& running_mean, const Tensor& running_var,
                           const BatchNormParams& params, const Tensor& batches) {
  const char* op = "batch_norm_known";
  require_data(op, "x", x);
  require_channels(op, "weight", weight, x);
  require_channels(op, "bias", bias, x);
  const Shape channels{x.size(1)};
  const DType dtype = statistics_dtype(x);
  require_running(op, running_mean, running_var, batches, channels, dtype, x.device());
  require_params(op, params);
  DLCUDA_CHECK(x.numel() > x.size(1), ShapeError,
               "{}: in training a channel needs more than one value, got shape {}", op, to_string(x.shape()));
  KnownNorm norm{.mean = Tensor::empty(channels, dtype, x.device()),
                 .inverse_std = Tensor::empty(channels, dtype, x.device()),
                 .weight = weight,
                 .bias = bias,
                 .activation = params.activation.kind};
  DLCUDA_DISPATCH_LOOPS(x.device(), batch_norm_statistics, by_channel(x), norm.mean.raw(),
                        norm.inverse_std.raw(), optional_view(running_mean), optional_view(running_var),
                        optional_view(batches), params);
  bump_running(running_mean, running_var, batches, true);
  return norm;
}

BatchNormOutput batch_norm_inference(const Tensor& x, const Tensor& weight, const Tensor& bias,
                                     const Tensor& residual, const Tensor& running_mean,
                                     const Tensor& running_var, const BatchNormParams& params,
                                     const Tensor& into) {
  const char* op = "batch_norm";
  check_forward(op, x, weight, bias, residual, params);
  if (into.defined()) require_like_or_slice(op, "into", into, x);
  require_channels(op, "running_mean", running_mean, x);
  require_channels(op, "running_var", running_var, x);
  BatchNormOutput out = outputs_of(x, into);
  DLCUDA_DISPATCH_LOOPS(x.device(), batch_norm_running, running_mean.raw(), running_var.raw(), out.mean.raw(),
                        out.inverse_std.raw(), params.epsilon);
  apply(x, weight, bias, residual, params.activation, out);
  return out;
}

BatchNormGradients batch_norm_backward(const BatchNormBackward& of, bool training, bool with_residual,
                                       const BatchNormParams& params) {
  const char* op = "batch_norm_backward";
  const Tensor& x = of.x;
  require_data(op, "x", x);
  require_like_or_slice(op, "dy", of.dy, x);
  if (of.more.defined()) require_like(op, "more", of.more, "x", x);
  require_optional_channels(op, "weight", of.weight, x);
  require_optional_channels(op, "bias", of.bias, x);
  require_channels(op, "mean", of.mean, x);
  require_channels(op, "inverse_std", of.inverse_std, x);
  require_activation(op, params.activation);
  const ActivationParams identity{.kind = Activation::Identity};
  const bool activated = params.activation.kind != Activation::Identity;
  DLCUDA_CHECK(!activated || !with_residual || of.y.defined(), ArgumentError,
               "{}: y is needed, because the residual that was added to it is not known", op);
  if (of.y.defined()) require_like(op, "y", of.y, "x", x);

  BatchNormGradients gradients{Tensor::empty_like(x), Tensor::empty_like(of.mean),
                               Tensor::empty_like(of.mean), Tensor()};
  // Slices are read by CUDA's first pass alone.
  const Tensor dy = takes_slices(x) ? of.dy : to_format(of.dy, of.dy.format());
  // The first pass leaves g where someone else wants it, or where it is a sum: the second one reads less
  // then.
  const bool leaves_g = of.more.defined() || !dy.is_dense() || (with_residual && activated);
  const Tensor g = leaves_g ? Tensor::empty_like(x) : dy;
  const bool last = channels_come_last(x, dy);
  BatchNormOutput again{activated ? of.y : Tensor(), of.mean, of.inverse_std};
  if (activated && !again.y.defined() && x.device().is_cpu()) {
    again.y = Tensor::empty_like(x);
    apply(x, of.weight, of.bias, {}, params.activation, again);
  }
  BatchNormBackwardViews views{
      by_channel(dy, last),     by_channel(of.more, last), by_channel(x, last), by_channel(again.y, last),
      optional_view(of.weight), optional_view(of.bias),    of.mean.raw(),       of.inverse_std.raw()};
  DLCUDA_DISPATCH_LOOPS(x.device(), batch_norm_backward_parameters, views,
                        by_channel(leaves_g ? g : Tensor(), last), gradients.weight.raw(),
                        gradients.bias.raw(), params.activation);
  views.dy = by_channel(g, last);
  views.more = {};
  if (leaves_g) views.y = {};
  DLCUDA_DISPATCH_LOOPS(x.device(), batch_norm_backward_data, views, gradients.weight.raw(),
                        gradients.bias.raw(), by_channel(gradients.x, last), training,
                        leaves_g ? identity : params.activation);
  if (with_residual) gradients.residual = g;
  return gradients;
}

FoldedWeights fold_batch_norm(const Tensor& layer_weight, const Tensor& layer_bias, const Tensor& weight,
                              const Tensor& bias, const Tensor& running_mean, const Tensor& running_var,
                              double epsilon) {
  const char* op = "fold_batch_norm";
  require_floating(op, "layer_weight", layer_weight);
  require_dense(op, "layer_weight", layer_weight);
  DLCUDA_CHECK(layer_weight.rank() >= 2, ShapeError,
               "fold_batch_norm: layer_weight must have an output and an input axis, got shape {}",
               to_string(layer_weight.shape()));
  const std::int64_t channels = layer_weight.size(0);
  const Tensor rows = contiguous(layer_weight.detach()).view({1, channels, -1, 1});
  require_channels(op, "running_mean", running_mean, rows);
  require_channels(op, "running_var", running_var, rows);
  require_optional_channels(op, "weight", weight, rows);
  require_optional_channels(op, "bias", bias, rows);
  if (layer_bias.defined()) {
    require_shape(op, "layer_bias", layer_bias, Shape{channels});
    require_dtype(op, "layer_bias", layer_bias, layer_weight.dtype());
    require_device(op, "layer_bias", layer_bias, layer_weight.device());
  }

  // The normalisation is linear: of the weight it takes the factor only, of the bias everything.
  BatchNormOutput scaled = outputs_of(rows, {});
  DLCUDA_DISPATCH_LOOPS(rows.device(), batch_norm_running, running_mean.raw(), running_var.raw(),
                        scaled.mean.raw(), scaled.inverse_std.raw(), epsilon);
  const Tensor old_bias = layer_bias.defined()
                              ? layer_bias.detach()
                              : Tensor::zeros(Shape{channels}, layer_weight.dtype(), layer_weight.device());
  const BatchNormOutput shifted{Tensor::empty(Shape{1, channels}, old_bias.dtype(), old_bias.device()),
                                scaled.mean, scaled.inverse_std};
  apply(old_bias.view({1, channels}), weight, bias, {}, {.kind = Activation::Identity}, shifted);
  scaled.mean = Tensor::zeros_like(scaled.mean);
  apply(rows, weight, {}, {}, {.kind = Activation::Identity}, scaled);
  return {to_format(scaled.y.view(layer_weight.shape()), layer_weight.format()), shifted.y.view({channels})};
}

}  // namespace dlcuda::kernels

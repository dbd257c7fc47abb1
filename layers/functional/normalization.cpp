#include "dlcuda/layers/functional/normalization.h"

#include "dlcuda/core/check.h"
#include "dlcuda/kernels/group_norm.h"
#include "dlcuda/layers/recording.h"

namespace dlcuda::functional {

using autograd::any_requires_grad;
using autograd::BackwardContext;
using autograd::record;
using autograd::record_in_parts;
using autograd::Saved;

namespace {

/// A channel slice is read where it lies.
Tensor as_format_or_slice(const Tensor& grad, MemoryFormat format) {
  return grad.format() == format ? grad : as_format(grad, format);
}

}  // namespace

Tensor batch_norm_add(const Tensor& x, const Tensor& residual, const BatchNormTensors& tensors, bool training,
                      const BatchNormParams& params, const kernels::ChannelTotals& totals,
                      const Tensor& into) {
  DLCUDA_CHECK(!into.defined() || !residual.defined(), ArgumentError,
               "batch_norm: with a residual the result cannot be written into another tensor");
  const auto& [weight, bias, running_mean, running_var, batches] = tensors;
  const bool batch = training || !running_mean.defined();
  const auto [y, mean, inverse_std] =
      batch
          ? kernels::batch_norm_training(x, weight, bias, residual, running_mean, running_var, params,
                                         batches, totals, into)
          : kernels::batch_norm_inference(x, weight, bias, residual, running_mean, running_var, params, into);
  if (!any_requires_grad({x, weight, bias, residual})) return y;
  // On CUDA the output is read again only where it cannot be computed anew from x. What shares its memory
  // with others, who write to it later, cannot be kept.
  const bool activated = params.activation.kind != kernels::Activation::Identity;
  const bool saves_y = activated && !into.defined() && (residual.defined() || x.device().is_cpu());
  return record_in_parts("batch_norm", y, {x, weight, bias, residual},
                         [saved_x = Saved(x), saved_y = save_if(saves_y, y), saved_weight = Saved(weight),
                          saved_bias = save_if(!saves_y, bias), saved_mean = Saved(mean),
                          saved_std = Saved(inverse_std), batch, params](const BackwardContext& context) {
                           const MemoryFormat format = saved_x.get().format();
                           auto gradients = kernels::batch_norm_backward(
                               {.dy = as_format_or_slice(context.grad, format),
                                .more = context.more.defined() ? as_format(context.more, format) : Tensor(),
                                .x = saved_x.get(),
                                .y = saved_y.get(),
                                .weight = saved_weight.get(),
                                .bias = saved_bias.get(),
                                .mean = saved_mean.get(),
                                .inverse_std = saved_std.get()},
                               batch, context.needs(3), params);
                           return std::vector{std::move(gradients.x), std::move(gradients.weight),
                                              std::move(gradients.bias), std::move(gradients.residual)};
                         });
}

Tensor batch_norm(const Tensor& x, const BatchNormTensors& tensors, bool training,
                  const BatchNormParams& params) {
  return batch_norm_add(x, {}, tensors, training, params);
}

Tensor group_norm(const Tensor& x, std::int64_t groups, const Tensor& weight, const Tensor& bias,
                  double epsilon) {
  const auto [y, mean, inverse_std] = kernels::group_norm_forward(x, groups, weight, bias, epsilon);
  if (!any_requires_grad({x, weight, bias})) return y;
  return record(
      "group_norm", y, {x, weight, bias},
      [saved_x = Saved(x), saved_weight = Saved(weight), saved_mean = Saved(mean),
       saved_std = Saved(inverse_std)](const BackwardContext& context) {
        const Tensor& input = saved_x.get();
        auto gradients = kernels::group_norm_backward(as_format(context.grad, input.format()), input,
                                                      saved_weight.get(), saved_mean.get(), saved_std.get());
        return std::vector{std::move(gradients.x), std::move(gradients.weight), std::move(gradients.bias)};
      });
}

Tensor layer_norm(const Tensor& x, const Shape& normalized, const Tensor& weight, const Tensor& bias,
                  double epsilon) {
  const int axes = normalized.rank(), rest = x.rank() - axes;
  bool fits = axes >= 1 && rest >= 0;
  for (int axis = 0; fits && axis < axes; ++axis) fits = x.size(rest + axis) == normalized[axis];
  DLCUDA_CHECK(fits, ShapeError, "layer_norm: x of shape {} does not end in the normalised axes {}",
               to_string(x.shape()), to_string(normalized));
  const auto flat = [&](const char* name, const Tensor& parameter) {
    if (!parameter.defined()) return parameter;
    DLCUDA_CHECK(parameter.shape() == normalized, ShapeError, "layer_norm: {} must have shape {}, got {}",
                 name, to_string(normalized), to_string(parameter.shape()));
    return parameter.view(Shape{normalized.numel()});
  };
  DLCUDA_CHECK(
      x.is_contiguous(), ShapeError,
      "layer_norm: x of shape {} must lie in N, C, H, W order; take kernels::contiguous() of it first",
      to_string(x.shape()));
  std::int64_t rows = 1;
  for (int axis = 0; axis < rest; ++axis) rows *= x.size(axis);
  // One group whose channels are the elements of a row.
  return group_norm(x.view(Shape{rows, normalized.numel()}), 1, flat("weight", weight), flat("bias", bias),
                    epsilon)
      .view(x.shape());
}

Tensor local_response_norm(const Tensor& x, const LocalResponseNormParams& params) {
  Tensor y = kernels::local_response_norm_forward(x, params);
  if (!any_requires_grad({x})) return y;
  return record(
      "local_response_norm", std::move(y), {x}, [saved_x = Saved(x), params](const BackwardContext& context) {
        const Tensor& input = saved_x.get();
        return std::vector{
            kernels::local_response_norm_backward(as_format(context.grad, input.format()), input, params)};
      });
}

}  // namespace dlcuda::functional

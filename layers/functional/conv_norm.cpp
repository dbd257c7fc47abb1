#include "dlcuda/layers/functional/conv_norm.h"

#include <algorithm>

#include "dlcuda/layers/recording.h"

namespace dlcuda::functional {

using autograd::any_requires_grad;
using autograd::BackwardContext;
using autograd::record;
using autograd::Saved;

namespace {

kernels::KnownNorm known_norm(const PendingNorm& x) {
  const auto& [weight, bias, running_mean, running_var, batches] = x.tensors;
  if (!x.totals.defined()) {
    return kernels::batch_norm_known(x.raw, weight, bias, running_mean, running_var, x.params, batches);
  }
  return kernels::batch_norm_known(x.totals, x.raw.numel() / std::max<std::int64_t>(1, x.raw.size(1)),
                                   x.raw.dtype(), weight, bias, running_mean, running_var, x.params, batches);
}

}  // namespace

ConvolutionWithTotals conv2d_with_totals(const PendingNorm& x, const Tensor& weight,
                                         const kernels::Conv2dParams& params) {
  const auto& [norm_weight, norm_bias, running_mean, running_var, batches] = x.tensors;
  if (!norm_weight.defined()) {
    auto [y, totals] = kernels::conv2d_norm_forward(x.raw, nullptr, weight, params);
    return {record_conv2d(std::move(y), x.raw, weight, {}, params), std::move(totals)};
  }
  const kernels::KnownNorm norm = known_norm(x);
  auto [y, totals] = kernels::conv2d_norm_forward(x.raw, &norm, weight, params);
  if (!any_requires_grad({x.raw, norm_weight, norm_bias, weight})) return {std::move(y), std::move(totals)};
  const MemoryFormat format = y.format();
  Tensor recorded =
      record("norm_conv2d", std::move(y), {x.raw, norm_weight, norm_bias, weight},
             [saved_raw = Saved(x.raw), saved_weight = Saved(weight), saved_mean = Saved(norm.mean),
              saved_std = Saved(norm.inverse_std), saved_norm_weight = Saved(norm_weight),
              saved_norm_bias = Saved(norm_bias), saved_scale = Saved(norm.scale),
              saved_shift = Saved(norm.shift), activation = norm.activation, weight_shape = weight.shape(),
              weight_format = weight.format(), format, params](const BackwardContext& context) {
               const Tensor dy = as_format(context.grad, format), &raw = saved_raw.get();
               const kernels::KnownNorm known{.mean = saved_mean.get(),
                                              .inverse_std = saved_std.get(),
                                              .weight = saved_norm_weight.get(),
                                              .bias = saved_norm_bias.get(),
                                              .scale = saved_scale.get(),
                                              .shift = saved_shift.get(),
                                              .activation = activation};
               std::vector<Tensor> gradients(4);
               if (context.needs(0) || context.needs(1) || context.needs(2)) {
                 auto [dx, dweight, dbias, none] =
                     kernels::conv2d_norm_backward_data(dy, saved_weight.get(), raw, known, params);
                 gradients = {std::move(dx), std::move(dweight), std::move(dbias), {}};
               }
               if (context.needs(3)) {
                 gradients[3] = kernels::conv2d_norm_backward_weight(raw, known, dy, weight_shape, params,
                                                                     weight_format);
               }
               return gradients;
             });
  return {std::move(recorded), std::move(totals)};
}

}  // namespace dlcuda::functional

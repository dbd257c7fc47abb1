// The parts one after another, from the other families: what the fused convolutions of a GPU are held to.
#include "dlcuda/kernels/conv2d_norm.h"

#include "dlcuda/kernels/axis_layout.h"
#include "dlcuda/kernels/dispatch.h"

namespace dlcuda::kernels::cpu {
namespace {

bool is_channels_last(const TensorView& x) { return x.strides[1] == 1 && x.strides[3] != 1; }

TensorView by_channel(const TensorView& x) { return along_axis(x, 1, is_channels_last(x)); }

Tensor empty_like(const TensorView& x) {
  return Tensor::empty({x.shape[0], x.shape[1], x.shape[2], x.shape[3]}, x.dtype, Device::cpu(),
                       is_channels_last(x) ? MemoryFormat::ChannelsLast : MemoryFormat::Contiguous);
}

/// f(norm(x)), what the convolution sees.
Tensor normed(const TensorView& x, const NormViews& norm) {
  Tensor y = empty_like(x);
  DLCUDA_BEST_LOOP(batch_norm_apply)
  (by_channel(x), norm.mean, norm.inverse_std, norm.weight, norm.bias, {}, by_channel(y.raw()),
   ActivationParams{.kind = norm.activation});
  return y;
}

}  // namespace

void conv2d_norm_forward(const TensorView& x, const NormViews& norm, const TensorView& weight,
                         const TensorView& y, const TensorView& sum, const TensorView& squares,
                         const Conv2dParams& params) {
  const Tensor input = norm.mean.data ? normed(x, norm) : Tensor{};
  conv2d_forward(input.defined() ? input.raw() : x, weight, {}, y, params);
  DLCUDA_BEST_LOOP(channel_totals)(by_channel(y), sum, squares);
}

void conv2d_norm_backward_weight(const TensorView& x, const NormViews& norm, const TensorView& dy,
                                 const TensorView& dw, const Conv2dParams& params) {
  conv2d_backward_weight(normed(x, norm).raw(), dy, dw, {}, params);
}

void conv2d_norm_backward_data(const TensorView& dy, const TensorView& weight, const TensorView& x,
                               const NormViews& norm, const TensorView& dx, const TensorView& dnorm_weight,
                               const TensorView& dnorm_bias, const Conv2dParams& params) {
  const Tensor input = normed(x, norm), dinput = empty_like(x);
  conv2d_backward_data(dy, weight, dinput.raw(), params);
  const ActivationParams activation{.kind = norm.activation};
  const BatchNormBackwardViews through_activation{.dy = by_channel(dinput.raw()),
                                                  .more = {},
                                                  .x = by_channel(x),
                                                  .y = by_channel(input.raw()),
                                                  .weight = norm.weight,
                                                  .bias = norm.bias,
                                                  .mean = norm.mean,
                                                  .inverse_std = norm.inverse_std};
  DLCUDA_BEST_LOOP(batch_norm_backward_parameters)
  (through_activation, {}, dnorm_weight, dnorm_bias, activation);
  DLCUDA_BEST_LOOP(activation_backward)(dinput.raw(), input.raw(), dx, activation);
}

}  // namespace dlcuda::kernels::cpu

#include "dlcuda/layers/functional/convolution.h"

#include <algorithm>

#include "dlcuda/kernels/bias.h"
#include "dlcuda/layers/recording.h"

namespace dlcuda::functional {

using autograd::any_requires_grad;
using autograd::BackwardContext;
using autograd::record;

Tensor conv2d(const Tensor& x, const Tensor& weight, const Tensor& bias, const Conv2dParams& params) {
  Tensor y = kernels::conv2d_forward(x, weight, bias, params);
  if (!any_requires_grad({x, weight, bias})) return y;
  const MemoryFormat format = y.format();
  return record(
      "conv2d", std::move(y), {x, weight, bias},
      [saved_x = save_if(needs_gradient(weight), x), saved_weight = save_if(needs_gradient(x), weight),
       x_shape = x.shape(), weight_shape = weight.shape(), format, params](const BackwardContext& context) {
        const Tensor dy = as_format(context.grad, format);
        Tensor dx;
        if (context.needs(0)) {
          dx = kernels::conv2d_backward_data(dy, saved_weight.get(), x_shape, params);
        }
        kernels::Conv2dWeightGradients gradients;
        if (context.needs(1)) {
          gradients =
              kernels::conv2d_backward_weight(saved_x.get(), dy, weight_shape, params, context.needs(2));
        } else if (context.needs(2)) {
          gradients.bias = kernels::bias_backward(dy);
        }
        return std::vector{std::move(dx), std::move(gradients.weight), std::move(gradients.bias)};
      });
}

Tensor depthwise_conv2d(const Tensor& x, const Tensor& weight, const Tensor& bias, Conv2dParams params) {
  // Of another rank or without channels: conv2d says what is wrong with it.
  params.groups = x.defined() && x.rank() == 4 ? std::max<std::int64_t>(1, x.size(1)) : 1;
  return conv2d(x, weight, bias, params);
}

Tensor conv_transpose2d(const Tensor& x, const Tensor& weight, const Tensor& bias,
                        const ConvTranspose2dParams& params) {
  Tensor y = kernels::conv_transpose2d_forward(x, weight, bias, params);
  if (!any_requires_grad({x, weight, bias})) return y;
  const MemoryFormat format = y.format();
  return record(
      "conv_transpose2d", std::move(y), {x, weight, bias},
      [saved_x = save_if(needs_gradient(weight), x), saved_weight = save_if(needs_gradient(x), weight),
       x_shape = x.shape(), weight_shape = weight.shape(), format, params](const BackwardContext& context) {
        const Tensor dy = as_format(context.grad, format);
        Tensor dx, dw, db;
        if (context.needs(0)) {
          dx = kernels::conv_transpose2d_backward_data(dy, saved_weight.get(), x_shape, params);
        }
        if (context.needs(1)) {
          dw = kernels::conv_transpose2d_backward_weight(saved_x.get(), dy, weight_shape, params);
        }
        if (context.needs(2)) db = kernels::bias_backward(dy);
        return std::vector{std::move(dx), std::move(dw), std::move(db)};
      });
}

}  // namespace dlcuda::functional

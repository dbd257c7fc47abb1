#include "dlcuda/layers/functional/convolution.h"

#include <algorithm>

#include "dlcuda/core/check.h"
#include "dlcuda/kernels/bias.h"
#include "dlcuda/kernels/layout.h"
#include "dlcuda/layers/recording.h"

namespace dlcuda::functional {

using autograd::any_requires_grad;
using autograd::BackwardContext;
using autograd::record;

Tensor conv2d(const Tensor& x, const Tensor& weight, const Tensor& bias, const Conv2dParams& params) {
  return record_conv2d(kernels::conv2d_forward(x, weight, bias, params), x, weight, bias, params);
}

Tensor record_conv2d(Tensor y, const Tensor& x, const Tensor& weight, const Tensor& bias,
                     const Conv2dParams& params) {
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

Tensor conv_transpose2d_concat(const Tensor& skip, const Tensor& x, const Tensor& weight, const Tensor& bias,
                               const ConvTranspose2dParams& params) {
  const char* op = "conv_transpose2d_concat";
  DLCUDA_CHECK(skip.defined() && skip.rank() == 4, ShapeError, "{}: skip must be (N, C, H, W), got {}", op,
               skip.defined() ? to_string(skip.shape()) : "an undefined tensor");
  const Shape up = kernels::conv_transpose2d_shape(x.shape(), weight.shape(), params);
  const std::int64_t skipped = skip.size(1), rows = skip.size(2) - up[2], columns = skip.size(3) - up[3];
  DLCUDA_CHECK(skip.size(0) == up[0] && rows >= 0 && columns >= 0, ShapeError,
               "{}: skip {} must have as many pictures as the enlarged x {}, and must not be smaller", op,
               to_string(skip.shape()), to_string(up));
  const std::int64_t top = rows / 2, left = columns / 2;
  Tensor y = Tensor::empty({up[0], skipped + up[1], up[2], up[3]}, x.dtype(), x.device(), x.format());
  Tensor first = y.channel_slice(0, skipped), second = y.channel_slice(skipped, skipped + up[1]);
  kernels::copy_window(first, skip, top, left);
  kernels::conv_transpose2d_into(second, x, weight, bias, params);
  if (!any_requires_grad({skip, x, weight, bias})) return y;
  return record(
      op, std::move(y), {skip, x, weight, bias},
      [saved_x = save_if(needs_gradient(weight), x), saved_weight = save_if(needs_gradient(x), weight),
       x_shape = x.shape(), weight_shape = weight.shape(), x_format = x.format(), skip_format = skip.format(),
       skipped, top, left, rows, columns, params](const BackwardContext& context) {
        std::vector<Tensor> gradients(4);
        if (context.needs(0)) {
          const kernels::AxisPadding padding[] = {{}, {}, {top, rows - top}, {left, columns - left}};
          const Tensor middle = kernels::narrow(context.grad, 1, 0, skipped);
          gradients[0] = as_format(rows + columns == 0 ? middle : kernels::pad(middle, padding), skip_format);
        }
        if (!context.needs(1) && !context.needs(2) && !context.needs(3)) return gradients;
        const Tensor dy =
            as_format(kernels::narrow(context.grad, 1, skipped, context.grad.size(1) - skipped), x_format);
        if (context.needs(1)) {
          gradients[1] = kernels::conv_transpose2d_backward_data(dy, saved_weight.get(), x_shape, params);
        }
        if (context.needs(2)) {
          gradients[2] = kernels::conv_transpose2d_backward_weight(saved_x.get(), dy, weight_shape, params);
        }
        if (context.needs(3)) gradients[3] = kernels::bias_backward(dy);
        return gradients;
      });
}

}  // namespace dlcuda::functional

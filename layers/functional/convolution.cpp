#include "dlcuda/layers/functional/convolution.h"

#include <algorithm>

#include "dlcuda/core/check.h"
#include "dlcuda/kernels/bias.h"
#include "dlcuda/kernels/conv2d_fused.h"
#include "dlcuda/kernels/layout.h"
#include "dlcuda/kernels/pad.h"
#include "dlcuda/layers/functional/activation.h"
#include "dlcuda/layers/recording.h"

namespace dlcuda::functional {

using autograd::any_requires_grad;
using autograd::BackwardContext;
using autograd::record;

namespace {

/// What the backward pass of a convolution keeps.
struct SavedConvolution {
  autograd::Saved x, weight;
  Shape x_shape, weight_shape;
  MemoryFormat weight_format;
  Conv2dParams params;

  SavedConvolution(const Tensor& x_, const Tensor& weight_, const Conv2dParams& params_)
      : x(save_if(needs_gradient(weight_), x_)),
        weight(save_if(needs_gradient(x_), weight_)),
        x_shape(x_.shape()),
        weight_shape(weight_.shape()),
        weight_format(weight_.format()),
        params(params_) {}

  /// Of x, weight and bias; dy is in the output's format. `db`: that of the bias, if it is known.
  std::vector<Tensor> gradients(const Tensor& dy, const BackwardContext& context, Tensor db = {}) const {
    Tensor dx;
    if (context.needs(0)) dx = kernels::conv2d_backward_data(dy, weight.get(), x_shape, params);
    kernels::Conv2dWeightGradients computed;
    const bool wants_bias = context.needs(2) && !db.defined();
    if (context.needs(1)) {
      computed =
          kernels::conv2d_backward_weight(x.get(), dy, weight_shape, params, wants_bias, weight_format);
    } else if (wants_bias) {
      computed.bias = kernels::bias_backward(dy);
    }
    return {std::move(dx), std::move(computed.weight), wants_bias ? std::move(computed.bias) : std::move(db)};
  }
};

}  // namespace

Tensor conv2d(const Tensor& x, const Tensor& weight, const Tensor& bias, const Conv2dParams& params) {
  return record_conv2d(kernels::conv2d_forward(x, weight, bias, params), x, weight, bias, params);
}

Tensor record_conv2d(Tensor y, const Tensor& x, const Tensor& weight, const Tensor& bias,
                     const Conv2dParams& params) {
  if (!any_requires_grad({x, weight, bias})) return y;
  const MemoryFormat format = y.format();
  return record("conv2d", std::move(y), {x, weight, bias},
                [saved = SavedConvolution(x, weight, params), format](const BackwardContext& context) {
                  return saved.gradients(as_format(context.grad, format), context);
                });
}

Tensor conv2d_activation(const Tensor& x, const Tensor& weight, const Tensor& bias,
                         const Conv2dParams& params, const kernels::ActivationParams& activation) {
  if (activation.kind == kernels::Activation::Identity) return conv2d(x, weight, bias, params);
  if (kernels::activation_saves_input(activation.kind)) {
    return functional::activation(conv2d(x, weight, bias, params), activation);
  }
  Tensor y = kernels::conv2d_fused(x, weight, bias, {}, params, activation);
  if (!any_requires_grad({x, weight, bias})) return y;
  autograd::Saved saved_y(y);
  return record("conv2d_activation", std::move(y), {x, weight, bias},
                [saved = SavedConvolution(x, weight, params), saved_y = std::move(saved_y),
                 activation](const BackwardContext& context) {
                  const auto [dy, db] = through_activation(context, saved_y.get(), activation);
                  return saved.gradients(dy, context, db);
                });
}

Tensor depthwise_conv2d(const Tensor& x, const Tensor& weight, const Tensor& bias, Conv2dParams params) {
  // Of another rank or without channels: conv2d says what is wrong with it.
  params.groups = x.defined() && x.rank() == 4 ? std::max<std::int64_t>(1, x.size(1)) : 1;
  return conv2d(x, weight, bias, params);
}

namespace {

/// What the backward pass of a transposed convolution keeps.
struct SavedTranspose {
  autograd::Saved x, weight;
  Shape x_shape, weight_shape;
  MemoryFormat x_format, weight_format;
  ConvTranspose2dParams params;

  SavedTranspose(const Tensor& x_, const Tensor& weight_, const ConvTranspose2dParams& params_)
      : x(save_if(needs_gradient(weight_), x_)),
        weight(save_if(needs_gradient(x_), weight_)),
        x_shape(x_.shape()),
        weight_shape(weight_.shape()),
        x_format(x_.format()),
        weight_format(weight_.format()),
        params(params_) {}

  /// With x, weight and bias as inputs `first`, first + 1 and first + 2 of the node.
  kernels::ConvTranspose2dGradients gradients(const Tensor& dy, const BackwardContext& context,
                                              int first) const {
    return kernels::conv_transpose2d_backward(dy,
                                              {.x = x.get(),
                                               .weight = weight.get(),
                                               .x_shape = x_shape,
                                               .weight_shape = weight_shape,
                                               .x_format = x_format,
                                               .weight_format = weight_format,
                                               .wants_x = context.needs(first),
                                               .wants_weight = context.needs(first + 1),
                                               .wants_bias = context.needs(first + 2)},
                                              params);
  }
};

}  // namespace

Tensor conv_transpose2d(const Tensor& x, const Tensor& weight, const Tensor& bias,
                        const ConvTranspose2dParams& params) {
  Tensor y = kernels::conv_transpose2d_forward(x, weight, bias, params);
  if (!any_requires_grad({x, weight, bias})) return y;
  return record("conv_transpose2d", std::move(y), {x, weight, bias},
                [saved = SavedTranspose(x, weight, params)](const BackwardContext& context) {
                  auto [dx, dw, db] = saved.gradients(context.grad, context, 0);
                  return std::vector{std::move(dx), std::move(dw), std::move(db)};
                });
}

Tensor conv_transpose2d_concat(const Tensor& skip, const Tensor& x, const Tensor& weight, const Tensor& bias,
                               const ConvTranspose2dParams& params, const Tensor& whole) {
  const char* op = "conv_transpose2d_concat";
  DLCUDA_CHECK(skip.defined() && skip.rank() == 4, ShapeError, "{}: skip must be (N, C, H, W), got {}", op,
               skip.defined() ? to_string(skip.shape()) : "an undefined tensor");
  const Shape up = kernels::conv_transpose2d_shape(x.shape(), weight.shape(), params);
  const std::int64_t skipped = skip.size(1), rows = skip.size(2) - up[2], columns = skip.size(3) - up[3];
  DLCUDA_CHECK(skip.size(0) == up[0] && rows >= 0 && columns >= 0, ShapeError,
               "{}: skip {} must have as many pictures as the enlarged x {}, and must not be smaller", op,
               to_string(skip.shape()), to_string(up));
  const std::int64_t top = rows / 2, left = columns / 2;
  const Shape shape{up[0], skipped + up[1], up[2], up[3]};
  DLCUDA_CHECK(!whole.defined() || whole.shape() == shape, ShapeError, "{}: whole must be {}, got {}", op,
               to_string(shape), to_string(whole.shape()));
  Tensor y = whole.defined() ? whole : Tensor::empty(shape, x.dtype(), x.device(), x.format());
  Tensor first = y.channel_slice(0, skipped), second = y.channel_slice(skipped, skipped + up[1]);
  if (!whole.defined()) {
    kernels::copy_window(first, skip, top, left);
  } else {
    DLCUDA_CHECK(
        skip.data() == first.data() && skip.shape() == first.shape() && skip.strides() == first.strides(),
        ArgumentError, "{}: skip {} is not the first channels of whole {}", op, to_string(skip.shape()),
        to_string(shape));
  }
  kernels::conv_transpose2d_into(second, x, weight, bias, params);
  if (!any_requires_grad({skip, x, weight, bias})) return y;
  return record(
      op, std::move(y), {skip, x, weight, bias},
      [saved = SavedTranspose(x, weight, params), skip_format = skip.format(), skipped, top, left, rows,
       columns, in_place = whole.defined()](const BackwardContext& context) {
        Tensor of_skip;
        if (context.needs(0) && in_place) {
          of_skip = context.grad.channel_slice(0, skipped);
        } else if (context.needs(0)) {
          const kernels::AxisPadding padding[] = {{}, {}, {top, rows - top}, {left, columns - left}};
          const Tensor middle = kernels::narrow(context.grad, 1, 0, skipped);
          of_skip = as_format(rows + columns == 0 ? middle : kernels::pad(middle, padding), skip_format);
        }
        if (!context.needs(1) && !context.needs(2) && !context.needs(3)) {
          return std::vector{std::move(of_skip), Tensor(), Tensor(), Tensor()};
        }
        const Tensor dy = context.grad.channel_slice(skipped, context.grad.size(1));
        auto [dx, dw, db] = saved.gradients(dy, context, 1);
        return std::vector{std::move(of_skip), std::move(dx), std::move(dw), std::move(db)};
      });
}

}  // namespace dlcuda::functional

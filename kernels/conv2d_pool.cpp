#include "dlcuda/kernels/conv2d_pool.h"

#include "dlcuda/kernels/bias.h"
#include "dlcuda/kernels/checks.h"
#include "dlcuda/kernels/conv2d_checks.h"
#include "dlcuda/kernels/conv2d_fused.h"
#include "dlcuda/kernels/cpu/conv2d_planes.h"
#include "dlcuda/kernels/dispatch.h"
#include "dlcuda/kernels/pool2d.h"

namespace dlcuda::kernels {
namespace {

/// 2 x 2 windows, 2 apart.
constexpr Pool2dParams kHalving{};

void check_activation(const char* op, const ActivationParams& activation) {
  DLCUDA_CHECK(!activation_saves_input(activation.kind), ArgumentError,
               "{}: the gradient of this activation needs its input; call conv2d_fused and avg_pool2d", op);
}

/// Whether a backend has it in one call.
bool is_one_call(const Tensor& x, const Tensor& weight, const Tensor& y, const Conv2dParams& params) {
  return x.device().is_cuda() || cpu::planes_suit(x.raw(), weight.raw(), y.raw(), params);
}

}  // namespace

Conv2dPoolOutput conv2d_pool_forward(const Tensor& x, const Tensor& weight, const Tensor& bias,
                                     const Conv2dParams& params, const ActivationParams& activation) {
  const char* op = "conv2d_pool";
  const Shape shape = check_conv2d(op, x, weight, bias, params);
  if (bias.defined()) require_dtype(op, "bias", bias, x.dtype());
  check_activation(op, activation);
  const Shape pooled_shape = pool2d_shape(shape, kHalving);
  Conv2dPoolOutput out{Tensor::empty(shape, x.dtype(), x.device(), x.format()), {}};
  if (out.y.numel() == 0 || !is_one_call(x, weight, out.y, params)) {
    out.y = {};
    out.y = conv2d_fused(x, weight, bias, {}, params, activation);
    out.pooled = avg_pool2d_forward(out.y, kHalving);
    return out;
  }
  out.pooled = Tensor::empty(pooled_shape, x.dtype(), x.device(), x.format());
  DLCUDA_DISPATCH(x.device(), conv2d_pool_forward, x.raw(), weight.raw(), optional_view(bias), out.y.raw(),
                  out.pooled.raw(), params, activation);
  return out;
}

Conv2dPoolGradients conv2d_pool_backward(const Conv2dPoolBackward& step, const Conv2dParams& params,
                                         const ActivationParams& activation) {
  const char* op = "conv2d_pool_backward";
  const auto& [dpooled, y, x, weight, wants_x, wants_weight, wants_bias] = step;
  check_activation(op, activation);
  const Shape shape = check_conv2d(op, x, weight, {}, params);
  require_shape(op, "y", y, shape);
  require_dtype(op, "y", y, x.dtype());
  require_device(op, "y", y, x.device());
  require_shape(op, "dpooled", dpooled, pool2d_shape(shape, kHalving));
  require_dtype(op, "dpooled", dpooled, x.dtype());
  require_device(op, "dpooled", dpooled, x.device());
  Conv2dPoolGradients gradients;
  // Formats as the forward pass left them; what is not, the parts refuse.
  const bool same =
      x.format() == y.format() && y.format() == dpooled.format() && y.is_dense() && dpooled.is_dense();
  if (!same || !wants_weight || dpooled.numel() == 0 || weight.numel() == 0 ||
      !is_one_call(x, weight, y, params)) {
    const Tensor dy = avg_pool2d_backward(dpooled, shape, kHalving);
    const auto [slopes, db] = activation_bias_backward(dy, y, activation);
    if (wants_x) gradients.x = conv2d_backward_data(slopes, weight, x.shape(), params);
    if (wants_weight) {
      gradients.weight =
          conv2d_backward_weight(x, slopes, weight.shape(), params, false, weight.format()).weight;
    }
    if (wants_bias) gradients.bias = db;
    return gradients;
  }
  if (wants_x) gradients.x = Tensor::empty_like(x);
  gradients.weight = Tensor::empty_like(weight);
  gradients.bias = Tensor::empty({weight.size(0)}, x.dtype(), x.device());
  DLCUDA_DISPATCH(x.device(), conv2d_pool_backward, dpooled.raw(), y.raw(), x.raw(), weight.raw(),
                  optional_view(gradients.x), gradients.weight.raw(), gradients.bias.raw(), params,
                  activation);
  if (!wants_bias) gradients.bias = {};
  return gradients;
}

}  // namespace dlcuda::kernels

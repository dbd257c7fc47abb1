#include "dlcuda/kernels/bias.h"

#include "dlcuda/kernels/axis_layout.h"
#include "dlcuda/kernels/dispatch.h"

namespace dlcuda::kernels {
namespace {

void require_channels(const char* op, const char* name, const Tensor& x) {
  require_floating(op, name, x);
  require_dense(op, name, x);
  DLCUDA_CHECK(x.rank() >= 2, ShapeError, "{}: {} must have a channel axis (rank 2 or more), got shape {}",
               op, name, to_string(x.shape()));
}

}  // namespace

Tensor bias_add(const Tensor& x, const Tensor& bias) {
  require_channels("bias_add", "x", x);
  require_shape("bias_add", "bias", bias, Shape{x.size(1)});
  require_dtype("bias_add", "bias", bias, x.dtype());
  require_device("bias_add", "bias", bias, x.device());
  Tensor y = Tensor::empty_like(x);
  DLCUDA_DISPATCH_LOOPS(x.device(), bias_add, x.raw(), bias.raw(), y.raw());
  return y;
}

Tensor bias_backward(const Tensor& dy) {
  require_channels("bias_backward", "dy", dy);
  Tensor db = Tensor::empty(Shape{dy.size(1)}, dy.dtype(), dy.device());
  DLCUDA_DISPATCH_LOOPS(dy.device(), bias_backward, dy.raw(), db.raw());
  return db;
}

ActivationBiasGradients activation_bias_backward(const Tensor& dy, const Tensor& y,
                                                 const ActivationParams& activation) {
  const char* op = "activation_bias_backward";
  require_channels(op, "dy", dy);
  require_like(op, "y", y, "dy", dy);
  DLCUDA_CHECK(!activation_saves_input(activation.kind), ArgumentError,
               "{}: the gradient of this activation needs its input; call activation_backward", op);
  ActivationBiasGradients gradients{Tensor::empty_like(dy),
                                    Tensor::empty(Shape{dy.size(1)}, dy.dtype(), dy.device())};
  DLCUDA_DISPATCH_LOOPS(dy.device(), activation_bias_backward, along_axis(dy, 1), along_axis(y, 1),
                        along_axis(gradients.x, 1), gradients.bias.raw(), activation);
  return gradients;
}

}  // namespace dlcuda::kernels

#include "dlcuda/kernels/activation.h"

#include "dlcuda/kernels/checks.h"
#include "dlcuda/kernels/dispatch.h"

namespace dlcuda::kernels {
namespace {

void check(const char* op, const ActivationParams& params) {
  DLCUDA_CHECK(params.kind != Activation::LeakyRelu || params.slope >= 0, ArgumentError,
               "{}: the slope of leaky ReLU must not be negative, got {}", op, params.slope);
  DLCUDA_CHECK(params.kind != Activation::Elu || params.alpha >= 0, ArgumentError,
               "{}: the alpha of ELU must not be negative, got {}", op, params.alpha);
  DLCUDA_CHECK(params.kind != Activation::Softplus || params.beta > 0, ArgumentError,
               "{}: the beta of softplus must be positive, got {}", op, params.beta);
}

}  // namespace

bool activation_saves_input(Activation kind) {
  switch (kind) {
    case Activation::Silu:
    case Activation::Gelu:
    case Activation::GeluTanh:
    case Activation::HardSwish:
    case Activation::Softplus:
      return true;
    default:
      return false;
  }
}

Tensor activation_forward(const Tensor& x, const ActivationParams& params) {
  require_floating("activation", "x", x);
  require_dense("activation", "x", x);
  check("activation", params);
  Tensor y = Tensor::empty_like(x);
  DLCUDA_DISPATCH_LOOPS(x.device(), activation_forward, x.raw(), y.raw(), params);
  return y;
}

Tensor activation_backward(const Tensor& dy, const Tensor& saved, const ActivationParams& params) {
  require_floating("activation_backward", "dy", dy);
  require_dense("activation_backward", "dy", dy);
  require_like("activation_backward", "saved", saved, "dy", dy);
  check("activation_backward", params);
  Tensor dx = Tensor::empty_like(dy);
  DLCUDA_DISPATCH_LOOPS(dy.device(), activation_backward, dy.raw(), saved.raw(), dx.raw(), params);
  return dx;
}

}  // namespace dlcuda::kernels

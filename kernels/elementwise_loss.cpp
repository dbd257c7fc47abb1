#include "dlcuda/kernels/elementwise_loss.h"

#include "dlcuda/kernels/checks.h"
#include "dlcuda/kernels/dispatch.h"

namespace dlcuda::kernels {
namespace {

void check(const char* op, const Tensor& x, const Tensor& target, const Tensor& weight,
           const ElementLossParams& params) {
  require_floating(op, "x", x);
  require_dense(op, "x", x);
  require_like(op, "target", target, "x", x);
  if (weight.defined()) {
    DLCUDA_CHECK(params.kind == ElementLoss::BinaryCrossEntropy, ArgumentError,
                 "{}: only the binary cross-entropy takes a positive weight", op);
    DLCUDA_CHECK(x.rank() >= 1, ShapeError, "{}: x must have an axis for the positive weight", op);
    require_contiguous(op, "x", x);
    require_dtype(op, "positive_weight", weight, x.dtype());
    require_shape(op, "positive_weight", weight, Shape{x.shape()[-1]});
    require_device(op, "positive_weight", weight, x.device());
  }
  DLCUDA_CHECK(params.beta >= 0, ArgumentError, "{}: beta must not be negative, got {}", op, params.beta);
  DLCUDA_CHECK(params.gamma >= 0, ArgumentError, "{}: gamma must not be negative, got {}", op, params.gamma);
  DLCUDA_CHECK(params.alpha <= 1, ArgumentError, "{}: alpha must be at most 1, got {}", op, params.alpha);
}

DType scalar_dtype(const Tensor& x) { return x.dtype() == DType::F64 ? DType::F64 : DType::F32; }

double divisor_of(const Tensor& x, const ElementLossParams& params) {
  return params.reduction == LossReduction::Mean ? static_cast<double>(x.numel()) : 1.0;
}

}  // namespace

Tensor element_loss_forward(const Tensor& x, const Tensor& target, const Tensor& positive_weight,
                            const ElementLossParams& params) {
  check("element_loss", x, target, positive_weight, params);
  const bool sum = params.reduction != LossReduction::None;
  Tensor y = sum ? Tensor::empty(Shape{}, scalar_dtype(x), x.device()) : Tensor::empty_like(x);
  DLCUDA_DISPATCH_LOOPS(x.device(), element_loss_forward, x.raw(), target.raw(),
                        optional_view(positive_weight), y.raw(), sum, divisor_of(x, params), params);
  return y;
}

Tensor element_loss_backward(const Tensor& dy, const Tensor& x, const Tensor& target,
                             const Tensor& positive_weight, const ElementLossParams& params) {
  const char* op = "element_loss_backward";
  check(op, x, target, positive_weight, params);
  const bool sum = params.reduction != LossReduction::None;
  if (sum) {
    require_shape(op, "dy", dy, Shape{});
    require_dtype(op, "dy", dy, scalar_dtype(x));
    require_device(op, "dy", dy, x.device());
  } else {
    require_like(op, "dy", dy, "x", x);
  }
  Tensor dx = Tensor::empty_like(x);
  DLCUDA_DISPATCH_LOOPS(x.device(), element_loss_backward, dy.raw(), x.raw(), target.raw(),
                        optional_view(positive_weight), dx.raw(), sum, divisor_of(x, params), params);
  return dx;
}

}  // namespace dlcuda::kernels

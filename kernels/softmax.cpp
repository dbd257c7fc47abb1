#include "dlcuda/kernels/softmax.h"

#include "dlcuda/kernels/checks.h"
#include "dlcuda/kernels/dispatch.h"

namespace dlcuda::kernels {
namespace {

/// (rows, length of the last axis)
Tensor as_rows(const Tensor& x) {
  const Tensor outside = x.detach();
  if (x.numel() == 0) return outside.view(Shape{0, 1});
  return outside.view(Shape{x.numel() / x.size(-1), x.size(-1)});
}

void check(const char* op, const char* name, const Tensor& x) {
  require_floating(op, name, x);
  require_contiguous(op, name, x);
  DLCUDA_CHECK(x.rank() >= 1, ShapeError, "{}: {} must have at least one axis, got a scalar", op, name);
}

}  // namespace

Tensor softmax_forward(const Tensor& x) {
  check("softmax", "x", x);
  Tensor y = Tensor::empty(x.shape(), x.dtype(), x.device());
  DLCUDA_DISPATCH_LOOPS(x.device(), softmax_forward(as_rows(x).raw(), as_rows(y).raw()));
  return y;
}

Tensor softmax_backward(const Tensor& dy, const Tensor& y) {
  check("softmax_backward", "dy", dy);
  check("softmax_backward", "y", y);
  require_like("softmax_backward", "y", y, "dy", dy);
  Tensor dx = Tensor::empty(dy.shape(), dy.dtype(), dy.device());
  DLCUDA_DISPATCH_LOOPS(dy.device(),
                        softmax_backward(as_rows(dy).raw(), as_rows(y).raw(), as_rows(dx).raw()));
  return dx;
}

}  // namespace dlcuda::kernels

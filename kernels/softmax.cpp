#include "dlcuda/kernels/softmax.h"

#include "dlcuda/kernels/axis_layout.h"
#include "dlcuda/kernels/dispatch.h"

namespace dlcuda::kernels {
namespace {

Tensor forward(const char* op, const Tensor& x, int axis, bool log) {
  require_floating(op, "x", x);
  require_dense(op, "x", x);
  const int along = checked_axis(op, x, axis);
  Tensor y = Tensor::empty_like(x);
  DLCUDA_DISPATCH_LOOPS(x.device(), softmax_forward, along_axis(x, along), along_axis(y, along), log);
  return y;
}

Tensor backward(const char* op, const Tensor& dy, const Tensor& y, int axis, bool log) {
  require_floating(op, "dy", dy);
  require_dense(op, "dy", dy);
  require_like(op, "y", y, "dy", dy);
  const int along = checked_axis(op, dy, axis);
  Tensor dx = Tensor::empty_like(dy);
  DLCUDA_DISPATCH_LOOPS(dy.device(), softmax_backward, along_axis(dy, along), along_axis(y, along),
                        along_axis(dx, along), log);
  return dx;
}

}  // namespace

Tensor softmax_forward(const Tensor& x, int axis) { return forward("softmax", x, axis, false); }
Tensor softmax_backward(const Tensor& dy, const Tensor& y, int axis) {
  return backward("softmax_backward", dy, y, axis, false);
}
Tensor log_softmax_forward(const Tensor& x, int axis) { return forward("log_softmax", x, axis, true); }
Tensor log_softmax_backward(const Tensor& dy, const Tensor& y, int axis) {
  return backward("log_softmax_backward", dy, y, axis, true);
}

}  // namespace dlcuda::kernels

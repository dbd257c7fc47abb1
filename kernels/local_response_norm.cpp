#include "dlcuda/kernels/local_response_norm.h"

#include "dlcuda/kernels/axis_layout.h"
#include "dlcuda/kernels/dispatch.h"

namespace dlcuda::kernels {
namespace {

void check(const char* op, const char* name, const Tensor& x, const LocalResponseNormParams& params) {
  require_floating(op, name, x);
  DLCUDA_CHECK(x.rank() == 2 || x.rank() == 4, ShapeError,
               "{}: {} must be (N, C) or (N, C, H, W), got shape {}", op, name, to_string(x.shape()));
  require_dense(op, name, x);
  DLCUDA_CHECK(params.size >= 1, ArgumentError, "{}: size must be at least 1, got {}", op, params.size);
  DLCUDA_CHECK(params.alpha >= 0 && params.k > 0, ArgumentError,
               "{}: alpha must not be negative and k must be positive, got {} and {}", op, params.alpha,
               params.k);
}

}  // namespace

Tensor local_response_norm_forward(const Tensor& x, const LocalResponseNormParams& params) {
  check("local_response_norm", "x", x, params);
  Tensor y = Tensor::empty_like(x);
  DLCUDA_DISPATCH_LOOPS(x.device(), local_response_norm_forward, along_axis(x, 1), along_axis(y, 1), params);
  return y;
}

Tensor local_response_norm_backward(const Tensor& dy, const Tensor& x,
                                    const LocalResponseNormParams& params) {
  check("local_response_norm_backward", "x", x, params);
  require_like("local_response_norm_backward", "dy", dy, "x", x);
  Tensor dx = Tensor::empty_like(x);
  DLCUDA_DISPATCH_LOOPS(x.device(), local_response_norm_backward, along_axis(dy, 1), along_axis(x, 1),
                        along_axis(dx, 1), params);
  return dx;
}

}  // namespace dlcuda::kernels

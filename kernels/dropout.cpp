#include "dlcuda/kernels/dropout.h"

#include "dlcuda/kernels/axis_layout.h"
#include "dlcuda/kernels/dispatch.h"

namespace dlcuda::kernels {

namespace {

void check(const char* op, const Tensor& x, const DropoutParams& params) {
  require_floating(op, "x", x);
  require_dense(op, "x", x);
  DLCUDA_CHECK(params.p >= 0 && params.p <= 1, ArgumentError, "{}: p must be a probability, got {}", op,
               params.p);
  require_dtype(op, "call.step", params.call.step, DType::I64);
  require_device(op, "call.step", params.call.step, x.device());
}

}  // namespace

Tensor dropout(const Tensor& x, const DropoutParams& params) {
  check("dropout", x, params);
  Tensor y = Tensor::empty_like(x);
  DLCUDA_DISPATCH_LOOPS(x.device(), dropout, x.raw(), y.raw(), params);
  return y;
}

Tensor channel_dropout(const Tensor& x, const DropoutParams& params) {
  check("channel_dropout", x, params);
  DLCUDA_CHECK(x.rank() >= 2, ShapeError, "channel_dropout: x must be (N, C, ...), got shape {}",
               to_string(x.shape()));
  Tensor y = Tensor::empty_like(x);
  DLCUDA_DISPATCH_LOOPS(x.device(), channel_dropout, along_axis(x, 1), along_axis(y, 1), x.size(0), params);
  return y;
}

}  // namespace dlcuda::kernels

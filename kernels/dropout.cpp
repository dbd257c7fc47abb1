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

Tensor sample_dropout(const Tensor& x, const DropoutParams& params) {
  check("sample_dropout", x, params);
  DLCUDA_CHECK(x.rank() >= 1, ShapeError, "sample_dropout: x must be (N, ...), got shape {}",
               to_string(x.shape()));
  Tensor y = Tensor::empty_like(x);
  // Samples as the channels of one: their elements lie together in either format.
  DLCUDA_DISPATCH_LOOPS(x.device(), channel_dropout, along_axis(x, 0), along_axis(y, 0), std::int64_t{1},
                        params);
  return y;
}

}  // namespace dlcuda::kernels

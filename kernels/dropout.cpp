#include "dlcuda/kernels/dropout.h"

#include "dlcuda/kernels/checks.h"
#include "dlcuda/kernels/dispatch.h"

namespace dlcuda::kernels {

Tensor dropout(const Tensor& x, const DropoutParams& params) {
  require_floating("dropout", "x", x);
  require_dense("dropout", "x", x);
  DLCUDA_CHECK(params.p >= 0 && params.p <= 1, ArgumentError, "dropout: p must be a probability, got {}",
               params.p);
  require_dtype("dropout", "call.step", params.call.step, DType::I64);
  require_device("dropout", "call.step", params.call.step, x.device());
  Tensor y = Tensor::empty_like(x);
  DLCUDA_DISPATCH_LOOPS(x.device(), dropout(x.raw(), y.raw(), params));
  return y;
}

}  // namespace dlcuda::kernels

#include "dlcuda/kernels/matmul.h"

#include "dlcuda/kernels/checks.h"
#include "dlcuda/kernels/dispatch.h"

namespace dlcuda::kernels {

Tensor matmul(const Tensor& a, const Tensor& b, const Tensor& bias, const MatmulParams& params) {
  for (const auto& [name, x] : {std::pair{"a", &a}, std::pair{"b", &b}}) {
    require_floating("matmul", name, *x);
    require_rank("matmul", name, *x, 2);
    require_contiguous("matmul", name, *x);
  }
  require_device("matmul", "b", b, a.device());
  require_dtype("matmul", "b", b, a.dtype());
  const std::int64_t m = a.size(params.transpose_a ? 1 : 0), k = a.size(params.transpose_a ? 0 : 1);
  const std::int64_t n = b.size(params.transpose_b ? 0 : 1), b_rows = b.size(params.transpose_b ? 1 : 0);
  DLCUDA_CHECK(k == b_rows, ShapeError, "matmul: a {}{} has {} columns, b {}{} has {} rows",
               to_string(a.shape()), params.transpose_a ? " (transposed)" : "", k, to_string(b.shape()),
               params.transpose_b ? " (transposed)" : "", b_rows);
  if (bias.defined()) {
    require_shape("matmul", "bias", bias, Shape{n});
    require_dtype("matmul", "bias", bias, a.dtype());
    require_device("matmul", "bias", bias, a.device());
  }
  Tensor out = Tensor::empty(Shape{m, n}, a.dtype(), a.device());
  if (out.numel() > 0) {
    DLCUDA_DISPATCH(a.device(), matmul(a.raw(), b.raw(), optional_view(bias), out.raw(), params));
  }
  return out;
}

}  // namespace dlcuda::kernels

#include "dlcuda/kernels/matmul.h"

#include "dlcuda/kernels/arithmetic.h"
#include "dlcuda/kernels/checks.h"
#include "dlcuda/kernels/dispatch.h"
#include "dlcuda/kernels/layout.h"

namespace dlcuda::kernels {
namespace {

/// One b for all matrices of a: their rows are those of one tall matrix.
Tensor rows_of_a_batch(const Tensor& a, const Tensor& b, const Tensor& bias, const MatmulParams& params) {
  DLCUDA_CHECK(!params.transpose_a, ShapeError,
               "matmul: a {} (transposed) needs a b for each of its matrices, got {}", to_string(a.shape()),
               to_string(b.shape()));
  const Tensor out = matmul(a.view({a.size(0) * a.size(1), a.size(2)}), b, bias, params);
  return out.view({a.size(0), a.size(1), out.size(1)});
}

/// Each sample as a matrix, where it lies: channels by positions, or the transpose of that in channels-last.
struct SampleMatrices {
  TensorView view;
  bool transposed;
};
SampleMatrices sample_matrices(const Tensor& x) {
  const bool transposed = !x.is_contiguous();
  TensorView view = x.raw();
  view.rank = 3;
  const std::int64_t all = x.size(0) * x.size(1), positions = all > 0 ? x.numel() / all : 0;
  view.shape[0] = x.size(0);
  view.shape[1] = transposed ? positions : x.size(1);
  view.shape[2] = transposed ? x.size(1) : positions;
  view.strides[2] = 1;
  view.strides[1] = view.shape[2];
  view.strides[0] = view.shape[1] * view.shape[2];
  return {view, transposed};
}

}  // namespace

Tensor matmul(const Tensor& a, const Tensor& b, const Tensor& bias, const MatmulParams& params) {
  for (const auto& [name, x] : {std::pair{"a", &a}, std::pair{"b", &b}}) {
    require_floating("matmul", name, *x);
    DLCUDA_CHECK(x->rank() == 2 || x->rank() == 3, ShapeError,
                 "matmul: {} must be a matrix or a batch of them (rank 2 or 3), got shape {}", name,
                 to_string(x->shape()));
    require_contiguous("matmul", name, *x);
  }
  require_device("matmul", "b", b, a.device());
  require_dtype("matmul", "b", b, a.dtype());
  if (a.rank() == 3 && b.rank() == 2) return rows_of_a_batch(a, b, bias, params);
  DLCUDA_CHECK(a.rank() == b.rank() && (a.rank() == 2 || a.size(0) == b.size(0)), ShapeError,
               "matmul: a {} and b {} are not as many matrices", to_string(a.shape()), to_string(b.shape()));
  // Counted from the end: a batch has its extent in front.
  const std::int64_t m = a.size(params.transpose_a ? -1 : -2), k = a.size(params.transpose_a ? -2 : -1);
  const std::int64_t n = b.size(params.transpose_b ? -2 : -1), b_rows = b.size(params.transpose_b ? -1 : -2);
  DLCUDA_CHECK(k == b_rows, ShapeError, "matmul: a {}{} has {} columns, b {}{} has {} rows",
               to_string(a.shape()), params.transpose_a ? " (transposed)" : "", k, to_string(b.shape()),
               params.transpose_b ? " (transposed)" : "", b_rows);
  if (bias.defined()) {
    require_shape("matmul", "bias", bias, Shape{n});
    require_dtype("matmul", "bias", bias, a.dtype());
    require_device("matmul", "bias", bias, a.device());
  }
  Tensor out = Tensor::empty(a.rank() == 3 ? Shape{a.size(0), m, n} : Shape{m, n}, a.dtype(), a.device());
  if (out.numel() > 0) {
    DLCUDA_DISPATCH(a.device(), matmul, a.raw(), b.raw(), optional_view(bias), out.raw(), params);
  }
  return out;
}

Tensor gram_matrix_forward(const Tensor& x) {
  require_floating("gram_matrix", "x", x);
  DLCUDA_CHECK(x.rank() >= 2, ShapeError, "gram_matrix: x must be (N, C, ...), got shape {}",
               to_string(x.shape()));
  require_dense("gram_matrix", "x", x);
  const auto [matrices, transposed] = sample_matrices(x);
  Tensor y = Tensor::empty({x.size(0), x.size(1), x.size(1)}, x.dtype(), x.device());
  if (y.numel() > 0) {
    const MatmulParams params{.transpose_a = transposed, .transpose_b = !transposed};
    DLCUDA_DISPATCH(x.device(), matmul, matrices, matrices, TensorView{}, y.raw(), params);
  }
  return y;
}

Tensor gram_matrix_backward(const Tensor& dy, const Tensor& x) {
  const char* op = "gram_matrix_backward";
  require_dense(op, "x", x);
  require_shape(op, "dy", dy, Shape{x.size(0), x.size(1), x.size(1)});
  require_dtype(op, "dy", dy, x.dtype());
  require_device(op, "dy", dy, x.device());
  constexpr int kTransposed[] = {0, 2, 1};
  const Tensor both = add(dy, permute(dy, kTransposed));
  Tensor dx = Tensor::empty_like(x);
  if (dx.numel() == 0) return dx;
  const auto [matrices, transposed] = sample_matrices(x);
  const TensorView out = sample_matrices(dx).view;
  if (transposed) {
    DLCUDA_DISPATCH(x.device(), matmul, matrices, both.raw(), TensorView{}, out, MatmulParams{});
  } else {
    DLCUDA_DISPATCH(x.device(), matmul, both.raw(), matrices, TensorView{}, out, MatmulParams{});
  }
  return dx;
}

}  // namespace dlcuda::kernels

#include "dlcuda/layers/functional/linear.h"

#include "dlcuda/core/check.h"
#include "dlcuda/kernels/bias.h"
#include "dlcuda/kernels/matmul.h"
#include "dlcuda/layers/recording.h"

namespace dlcuda::functional {

using autograd::any_requires_grad;
using autograd::BackwardContext;
using autograd::record;
using autograd::Saved;

Tensor linear(const Tensor& x, const Tensor& weight, const Tensor& bias) {
  DLCUDA_CHECK(weight.rank() == 2, ShapeError, "linear: weight must be (out, in), got shape {}",
               to_string(weight.shape()));
  DLCUDA_CHECK(x.rank() == 2 && x.size(1) == weight.size(1), ShapeError,
               "linear: expected x of shape (N, {}) for a weight of shape {}, got {}{}", weight.size(1),
               to_string(weight.shape()), to_string(x.shape()), x.rank() > 2 ? "; flatten it first" : "");
  Tensor y = kernels::matmul(x, weight, bias, {.transpose_b = true});
  if (!any_requires_grad({x, weight, bias})) return y;
  return record("linear", std::move(y), {x, weight, bias},
                [saved_x = save_if(needs_gradient(weight), x),
                 saved_weight = save_if(needs_gradient(x), weight)](const BackwardContext& context) {
                  const Tensor dy = as_format(context.grad, MemoryFormat::Contiguous);
                  Tensor dx, dw, db;
                  if (context.needs(0)) dx = kernels::matmul(dy, saved_weight.get());
                  if (context.needs(1)) dw = kernels::matmul(dy, saved_x.get(), {}, {.transpose_a = true});
                  if (context.needs(2)) db = kernels::bias_backward(dy);
                  return std::vector{std::move(dx), std::move(dw), std::move(db)};
                });
}

Tensor matmul(const Tensor& a, const Tensor& b) {
  if (a.defined() && b.defined() && a.rank() == 3 && b.rank() == 2) {
    const Tensor rows = matmul(a.view({a.size(0) * a.size(1), a.size(2)}), b);
    return rows.view({a.size(0), a.size(1), rows.size(1)});
  }
  Tensor y = kernels::matmul(a, b);
  if (!any_requires_grad({a, b})) return y;
  return record("matmul", std::move(y), {a, b},
                [saved_a = save_if(needs_gradient(b), a),
                 saved_b = save_if(needs_gradient(a), b)](const BackwardContext& context) {
                  const Tensor dy = as_format(context.grad, MemoryFormat::Contiguous);
                  Tensor da, db;
                  if (context.needs(0)) da = kernels::matmul(dy, saved_b.get(), {}, {.transpose_b = true});
                  if (context.needs(1)) db = kernels::matmul(saved_a.get(), dy, {}, {.transpose_a = true});
                  return std::vector{std::move(da), std::move(db)};
                });
}

Tensor gram_matrix(const Tensor& x) {
  Tensor y = kernels::gram_matrix_forward(x);
  if (!any_requires_grad({x})) return y;
  return record("gram_matrix", std::move(y), {x}, [saved = Saved(x)](const BackwardContext& context) {
    const Tensor dy = as_format(context.grad, MemoryFormat::Contiguous);
    return std::vector{kernels::gram_matrix_backward(dy, saved.get())};
  });
}

Tensor bias_add(const Tensor& x, const Tensor& bias) {
  Tensor y = kernels::bias_add(x, bias);
  if (!any_requires_grad({x, bias})) return y;
  const MemoryFormat format = x.format();
  return record("bias_add", std::move(y), {x, bias}, [format](const BackwardContext& context) {
    const Tensor dy = as_format(context.grad, format);
    Tensor db;
    if (context.needs(1)) db = kernels::bias_backward(dy);
    return std::vector{dy, std::move(db)};
  });
}

}  // namespace dlcuda::functional

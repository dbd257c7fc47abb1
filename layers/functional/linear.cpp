#include "dlcuda/layers/functional/linear.h"

#include "dlcuda/core/check.h"
#include "dlcuda/kernels/bias.h"
#include "dlcuda/kernels/linear.h"
#include "dlcuda/kernels/matmul.h"
#include "dlcuda/layers/functional/activation.h"
#include "dlcuda/layers/recording.h"

namespace dlcuda::functional {

using autograd::any_requires_grad;
using autograd::BackwardContext;
using autograd::record;
using autograd::Saved;

namespace {

void check_linear(const Tensor& x, const Tensor& weight) {
  DLCUDA_CHECK(weight.rank() == 2, ShapeError, "linear: weight must be (out, in), got shape {}",
               to_string(weight.shape()));
  DLCUDA_CHECK(x.rank() == 2 && x.size(1) == weight.size(1), ShapeError,
               "linear: expected x of shape (N, {}) for a weight of shape {}, got {}{}", weight.size(1),
               to_string(weight.shape()), to_string(x.shape()), x.rank() > 2 ? "; flatten it first" : "");
}

/// What the backward pass of a linear layer keeps.
struct SavedLinear {
  Saved x, weight;

  SavedLinear(const Tensor& x_, const Tensor& weight_)
      : x(save_if(needs_gradient(weight_), x_)), weight(save_if(needs_gradient(x_), weight_)) {}

  /// Of x, weight and bias, of a layer that ran in one call, and so do these. `y`: of an activation.
  std::vector<Tensor> small_gradients(const BackwardContext& context, const Tensor& y,
                                      const kernels::ActivationParams& activation) const {
    auto gradients = kernels::linear_backward({.dy = as_format(context.grad, MemoryFormat::Contiguous),
                                               .y = y,
                                               .x = context.needs(1) ? x.get() : Tensor(),
                                               .weight = context.needs(0) ? weight.get() : Tensor(),
                                               .with_bias = context.needs(2)},
                                              activation);
    return {std::move(gradients.x), std::move(gradients.weight), std::move(gradients.bias)};
  }

  /// Of x, weight and bias. `db`: that of the bias, if it is known.
  std::vector<Tensor> gradients(const Tensor& dy, const BackwardContext& context, Tensor db = {}) const {
    Tensor dx, dw;
    if (context.needs(0)) dx = kernels::matmul(dy, weight.get());
    if (context.needs(1)) dw = kernels::matmul(dy, x.get(), {}, {.transpose_a = true});
    if (context.needs(2) && !db.defined()) db = kernels::bias_backward(dy);
    return {std::move(dx), std::move(dw), std::move(db)};
  }
};

/// Both passes in one call each. activation: one whose backward pass reads the output.
Tensor small_linear(const Tensor& x, const Tensor& weight, const Tensor& bias,
                    const kernels::ActivationParams& activation) {
  Tensor y = kernels::linear_forward(x, weight, bias, activation);
  if (!any_requires_grad({x, weight, bias})) return y;
  const bool plain = activation.kind == kernels::Activation::Identity;
  Saved saved_y = save_if(!plain, y);
  return record(plain ? "linear" : "linear_activation", std::move(y), {x, weight, bias},
                [saved = SavedLinear(x, weight), saved_y = std::move(saved_y),
                 activation](const BackwardContext& context) {
                  return saved.small_gradients(context, saved_y.get(), activation);
                });
}

}  // namespace

Tensor linear(const Tensor& x, const Tensor& weight, const Tensor& bias) {
  check_linear(x, weight);
  if (kernels::is_small_linear(x, weight, bias)) {
    return small_linear(x, weight, bias, {.kind = kernels::Activation::Identity});
  }
  Tensor y = kernels::matmul(x, weight, bias, {.transpose_b = true});
  if (!any_requires_grad({x, weight, bias})) return y;
  return record("linear", std::move(y), {x, weight, bias},
                [saved = SavedLinear(x, weight)](const BackwardContext& context) {
                  return saved.gradients(as_format(context.grad, MemoryFormat::Contiguous), context);
                });
}

Tensor linear_activation(const Tensor& x, const Tensor& weight, const Tensor& bias,
                         const kernels::ActivationParams& activation) {
  if (activation.kind == kernels::Activation::Identity) return linear(x, weight, bias);
  if (kernels::activation_saves_input(activation.kind)) {
    return functional::activation(linear(x, weight, bias), activation);
  }
  check_linear(x, weight);
  if (kernels::is_small_linear(x, weight, bias)) return small_linear(x, weight, bias, activation);
  Tensor y = kernels::activation_forward(kernels::matmul(x, weight, bias, {.transpose_b = true}), activation);
  if (!any_requires_grad({x, weight, bias})) return y;
  Saved saved_y(y);
  return record("linear_activation", std::move(y), {x, weight, bias},
                [saved = SavedLinear(x, weight), saved_y = std::move(saved_y),
                 activation](const BackwardContext& context) {
                  const auto [dy, db] = through_activation(context, saved_y.get(), activation);
                  return saved.gradients(dy, context, db);
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

// Functions of one element each: activations, dropout, sums and products, casts.
#include "dlcuda/kernels/arithmetic.h"
#include "dlcuda/kernels/dropout.h"
#include "dlcuda/layers/functional.h"
#include "dlcuda/layers/recording.h"

namespace dlcuda::functional {

using autograd::any_requires_grad;
using autograd::BackwardContext;
using autograd::record;
using autograd::Saved;

Tensor activation(const Tensor& x, const ActivationParams& params) {
  Tensor y = kernels::activation_forward(x, params);
  if (!any_requires_grad({x})) return y;
  Saved saved_y(y);
  return record("activation", std::move(y), {x},
                [saved_y = std::move(saved_y), params](const BackwardContext& context) {
                  const Tensor& output = saved_y.get();
                  return std::vector{
                      kernels::activation_backward(as_format(context.grad, output.format()), output, params)};
                });
}

Tensor sigmoid(const Tensor& x) { return activation(x, {.kind = Activation::Sigmoid}); }
Tensor tanh(const Tensor& x) { return activation(x, {.kind = Activation::Tanh}); }
Tensor relu(const Tensor& x) { return activation(x, {.kind = Activation::Relu}); }
Tensor leaky_relu(const Tensor& x, float slope) {
  return activation(x, {.kind = Activation::LeakyRelu, .slope = slope});
}

Tensor dropout(const Tensor& x, double p, bool training, kernels::Generator& generator) {
  if (!training || p == 0) return x;
  const kernels::DropoutParams params{.p = p, .call = generator.next_call()};
  Tensor y = kernels::dropout(x, params);
  if (!any_requires_grad({x})) return y;
  // The step number is saved as a tensor that must not change: after advance_step() another mask would be
  // drawn.
  return record(
      "dropout", std::move(y), {x},
      [params, step = Saved(params.call.step), format = x.format()](const BackwardContext& context) {
        (void)step.get();
        return std::vector{kernels::dropout(as_format(context.grad, format), params)};
      });
}

Tensor cast(const Tensor& x, DType dtype) {
  if (x.dtype() == dtype) return x;
  Tensor y = kernels::cast(x, dtype);
  if (!is_floating_point(dtype)) return y;
  return record("cast", std::move(y), {x}, [before = x.dtype()](const BackwardContext& context) {
    return std::vector{kernels::cast(context.grad, before)};
  });
}

Tensor add(const Tensor& a, const Tensor& b) {
  Tensor y = kernels::add(a, b);
  if (!any_requires_grad({a, b})) return y;
  return record("add", std::move(y), {a, b}, [format = a.format()](const BackwardContext& context) {
    const Tensor dy = as_format(context.grad, format);
    return std::vector{dy, dy};
  });
}

Tensor multiply(const Tensor& a, const Tensor& b) {
  Tensor y = kernels::multiply(a, b);
  if (!any_requires_grad({a, b})) return y;
  return record("multiply", std::move(y), {a, b},
                [saved_a = save_if(needs_gradient(b), a), saved_b = save_if(needs_gradient(a), b),
                 format = a.format()](const BackwardContext& context) {
                  const Tensor dy = as_format(context.grad, format);
                  Tensor da, db;
                  if (context.needs(0)) da = kernels::multiply(dy, saved_b.get());
                  if (context.needs(1)) db = kernels::multiply(dy, saved_a.get());
                  return std::vector{std::move(da), std::move(db)};
                });
}

Tensor scale(const Tensor& x, double factor) {
  Tensor y = kernels::scale(x, factor);
  if (!any_requires_grad({x})) return y;
  return record("scale", std::move(y), {x}, [factor, format = x.format()](const BackwardContext& context) {
    return std::vector{kernels::scale(as_format(context.grad, format), factor)};
  });
}

}  // namespace dlcuda::functional

#include "dlcuda/layers/functional/arithmetic.h"

#include "dlcuda/kernels/arithmetic.h"
#include "dlcuda/layers/recording.h"

namespace dlcuda::functional {

using autograd::any_requires_grad;
using autograd::BackwardContext;
using autograd::record;

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

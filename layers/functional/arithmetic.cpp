#include "dlcuda/layers/functional/arithmetic.h"

#include "dlcuda/kernels/arithmetic.h"
#include "dlcuda/kernels/reduce.h"
#include "dlcuda/layers/recording.h"

namespace dlcuda::functional {

using autograd::any_requires_grad;
using autograd::BackwardContext;
using autograd::record;
using autograd::Saved;
using kernels::BinaryOp;
using kernels::UnaryOp;

namespace {

/// What an input's gradient looks like.
struct Like {
  Shape shape;
  MemoryFormat format;
  explicit Like(const Tensor& x) : shape(x.shape()), format(x.format()) {}
  /// The gradient of the repeated input, summed over what was repeated.
  Tensor from(const Tensor& gradient) const { return as_format(kernels::sum_to(gradient, shape), format); }
};

/// Saves both inputs; backward(dy, a, b) gives the gradients with the shape of y.
template <typename BackwardA, typename BackwardB>
Tensor both(const char* name, BinaryOp op, const Tensor& a, const Tensor& b, const BackwardA& by_a,
            const BackwardB& by_b) {
  Tensor y = kernels::binary(a, b, op);
  if (!any_requires_grad({a, b})) return y;
  return record(name, std::move(y), {a, b},
                [saved_a = Saved(a), saved_b = Saved(b), like_a = Like(a), like_b = Like(b), by_a,
                 by_b](const BackwardContext& context) {
                  const Tensor &left = saved_a.get(), &right = saved_b.get();
                  Tensor da, db;
                  if (context.needs(0)) da = like_a.from(by_a(context.grad, left, right));
                  if (context.needs(1)) db = like_b.from(by_b(context.grad, left, right));
                  return std::vector{std::move(da), std::move(db)};
                });
}

/// a + sign * b: nothing is saved.
Tensor sum(const char* name, BinaryOp op, const Tensor& a, const Tensor& b, double sign) {
  Tensor y = kernels::binary(a, b, op);
  if (!any_requires_grad({a, b})) return y;
  return record(name, std::move(y), {a, b},
                [like_a = Like(a), like_b = Like(b), sign](const BackwardContext& context) {
                  Tensor da, db;
                  if (context.needs(0)) da = like_a.from(context.grad);
                  if (context.needs(1))
                    db = like_b.from(sign < 0 ? kernels::scale(context.grad, sign) : context.grad);
                  return std::vector{std::move(da), std::move(db)};
                });
}

Tensor map(const char* name, const Tensor& x, const kernels::UnaryParams& params) {
  Tensor y = kernels::unary(x, params);
  if (!any_requires_grad({x})) return y;
  return record(name, std::move(y), {x}, [saved_x = Saved(x), params](const BackwardContext& context) {
    const Tensor& input = saved_x.get();
    return std::vector{kernels::unary_backward(as_format(context.grad, input.format()), input, params)};
  });
}

using Input = const Tensor&;

}  // namespace

Tensor add(const Tensor& a, const Tensor& b) { return sum("add", BinaryOp::Add, a, b, 1); }
Tensor subtract(const Tensor& a, const Tensor& b) { return sum("subtract", BinaryOp::Subtract, a, b, -1); }

Tensor multiply(const Tensor& a, const Tensor& b) {
  return both(
      "multiply", BinaryOp::Multiply, a, b,
      [](Input dy, Input, Input right) { return kernels::multiply(dy, right); },
      [](Input dy, Input left, Input) { return kernels::multiply(dy, left); });
}

Tensor divide(const Tensor& a, const Tensor& b) {
  return both(
      "divide", BinaryOp::Divide, a, b,
      [](Input dy, Input, Input right) { return kernels::divide(dy, right); },
      [](Input dy, Input left, Input right) {
        const Tensor ratio = kernels::divide(kernels::divide(left, right), right);
        return kernels::scale(kernels::multiply(dy, ratio), -1);
      });
}

Tensor maximum(const Tensor& a, const Tensor& b) {
  return both(
      "maximum", BinaryOp::Maximum, a, b,
      [](Input dy, Input left, Input right) {
        return kernels::multiply(dy, kernels::binary(left, right, BinaryOp::ShareOfLarger));
      },
      [](Input dy, Input left, Input right) {
        return kernels::multiply(dy, kernels::binary(right, left, BinaryOp::ShareOfLarger));
      });
}

Tensor minimum(const Tensor& a, const Tensor& b) {
  return both(
      "minimum", BinaryOp::Minimum, a, b,
      [](Input dy, Input left, Input right) {
        return kernels::multiply(dy, kernels::binary(right, left, BinaryOp::ShareOfLarger));
      },
      [](Input dy, Input left, Input right) {
        return kernels::multiply(dy, kernels::binary(left, right, BinaryOp::ShareOfLarger));
      });
}

Tensor affine(const Tensor& x, double factor, double offset) {
  Tensor y = kernels::unary(x, {UnaryOp::Affine, factor, offset});
  if (!any_requires_grad({x})) return y;
  return record("affine", std::move(y), {x}, [factor, format = x.format()](const BackwardContext& context) {
    return std::vector{kernels::scale(as_format(context.grad, format), factor)};
  });
}

Tensor scale(const Tensor& x, double factor) { return affine(x, factor, 0); }
Tensor exp(const Tensor& x) { return map("exp", x, {.op = UnaryOp::Exp}); }
Tensor log(const Tensor& x) { return map("log", x, {.op = UnaryOp::Log}); }
Tensor sqrt(const Tensor& x) { return map("sqrt", x, {.op = UnaryOp::Sqrt}); }
Tensor rsqrt(const Tensor& x) { return map("rsqrt", x, {.op = UnaryOp::Rsqrt}); }
Tensor abs(const Tensor& x) { return map("abs", x, {.op = UnaryOp::Abs}); }
Tensor square(const Tensor& x) { return map("square", x, {.op = UnaryOp::Square}); }
Tensor power(const Tensor& x, double exponent) {
  return map("power", x, {.op = UnaryOp::Power, .first = exponent});
}
Tensor clamp(const Tensor& x, double low, double high) {
  return map("clamp", x, {.op = UnaryOp::Clamp, .first = low, .second = high});
}

}  // namespace dlcuda::functional

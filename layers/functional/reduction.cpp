#include "dlcuda/layers/functional/reduction.h"

#include <array>
#include <vector>

#include "dlcuda/kernels/arithmetic.h"
#include "dlcuda/layers/functional/arithmetic.h"
#include "dlcuda/layers/functional/layout.h"
#include "dlcuda/layers/recording.h"

namespace dlcuda::functional {

using autograd::any_requires_grad;
using autograd::BackwardContext;
using autograd::record;
using autograd::Saved;
using kernels::BinaryOp;

namespace {

/// x's shape with extent 1 in the reduced axes.
Shape kept_shape(const Tensor& x, std::span<const int> axes) {
  std::vector<std::int64_t> extents(x.shape().extents().begin(), x.shape().extents().end());
  if (axes.empty()) std::fill(extents.begin(), extents.end(), 1);
  for (const int axis : axes) extents[static_cast<std::size_t>(axis < 0 ? axis + x.rank() : axis)] = 1;
  return Shape(std::span<const std::int64_t>(extents));
}

Tensor contiguous_view(const Tensor& x, const Shape& shape) {
  return as_format(x, MemoryFormat::Contiguous).view(shape);
}

Tensor linear(const char* name, const Tensor& x, Reduction reduction, std::span<const int> axes, bool keep) {
  Tensor y = kernels::reduce(x, reduction, axes, keep);
  if (!any_requires_grad({x})) return y;
  return record(
      name, std::move(y), {x},
      [x_shape = x.shape(), kept = kept_shape(x, axes), format = x.format(),
       reduction](const BackwardContext& context) {
        return std::vector{as_format(
            kernels::reduce_backward(contiguous_view(context.grad, kept), x_shape, reduction), format)};
      });
}

Tensor extreme(const char* name, const Tensor& x, Reduction reduction, std::span<const int> axes, bool keep) {
  Tensor y = kernels::reduce(x, reduction, axes, keep);
  if (!any_requires_grad({x})) return y;
  const std::vector<int> reduced(axes.begin(), axes.end());
  return record(name, y, {x},
                [saved_x = Saved(x), saved_y = Saved(y), kept = kept_shape(x, axes),
                 reduced](const BackwardContext& context) {
                  const Tensor& input = saved_x.get();
                  const Tensor there =
                      kernels::binary(input, contiguous_view(saved_y.get(), kept), BinaryOp::Equal);
                  const Tensor count = kernels::reduce(there, Reduction::Sum, reduced, true);
                  const Tensor share = kernels::divide(contiguous_view(context.grad, kept), count);
                  return std::vector{kernels::multiply(there, share)};
                });
}

}  // namespace

Tensor sum(const Tensor& x, std::span<const int> axes, bool keep) {
  return linear("sum", x, Reduction::Sum, axes, keep);
}
Tensor mean(const Tensor& x, std::span<const int> axes, bool keep) {
  return linear("mean", x, Reduction::Mean, axes, keep);
}
Tensor amax(const Tensor& x, std::span<const int> axes, bool keep) {
  return extreme("amax", x, Reduction::Max, axes, keep);
}
Tensor amin(const Tensor& x, std::span<const int> axes, bool keep) {
  return extreme("amin", x, Reduction::Min, axes, keep);
}

Tensor variance(const Tensor& x, std::span<const int> axes, bool keep, double correction) {
  const Tensor wide = widened(x);
  const Tensor average = mean(wide, axes, true);
  const double count = static_cast<double>(average.numel() == 0 ? 0 : x.numel() / average.numel());
  const double divisor = count > correction ? count - correction : 0;
  return cast(scale(sum(square(subtract(wide, average)), axes, keep), 1 / divisor), x.dtype());
}

Tensor norm(const Tensor& x, Norm norm, std::span<const int> axes, bool keep) {
  if (norm == Norm::L1) return cast(sum(abs(widened(x)), axes, keep), x.dtype());
  if (norm == Norm::Max) return amax(abs(x), axes, keep);
  const Tensor wide = widened(x);
  const Tensor squares = kernels::reduce(kernels::unary(wide.detach(), {.op = kernels::UnaryOp::Square}),
                                         Reduction::Sum, axes, keep);
  const Tensor y = kernels::unary(squares, {.op = kernels::UnaryOp::Sqrt});
  const Tensor recorded = record("norm", y, {wide},
                                 [saved_x = Saved(wide), saved_y = Saved(y),
                                  kept = kept_shape(x, axes)](const BackwardContext& context) {
                                   const Tensor share = kernels::binary(contiguous_view(context.grad, kept),
                                                                        contiguous_view(saved_y.get(), kept),
                                                                        BinaryOp::DivideOrZero);
                                   return std::vector{kernels::multiply(saved_x.get(), share)};
                                 });
  return cast(recorded, x.dtype());
}

Tensor reduce(const Tensor& x, Reduction reduction, std::optional<int> axis) {
  const std::array one{axis.value_or(0)};
  const std::span<const int> axes = axis ? std::span<const int>(one) : std::span<const int>{};
  switch (reduction) {
    case Reduction::Sum:
      return sum(x, axes);
    case Reduction::Mean:
      return mean(x, axes);
    case Reduction::Max:
      return amax(x, axes);
    case Reduction::Min:
      return amin(x, axes);
  }
  return {};
}

}  // namespace dlcuda::functional

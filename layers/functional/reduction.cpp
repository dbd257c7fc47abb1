#include "dlcuda/layers/functional/reduction.h"

#include "dlcuda/core/check.h"
#include "dlcuda/layers/recording.h"

namespace dlcuda::functional {

using autograd::any_requires_grad;
using autograd::BackwardContext;
using autograd::record;

Tensor reduce(const Tensor& x, Reduction reduction, std::optional<int> axis) {
  DLCUDA_CHECK(reduction != Reduction::Max || !any_requires_grad({x}), ArgumentError,
               "reduce: the maximum is not differentiable here; take it of detach(), or under NoGrad");
  Tensor y = kernels::reduce(x, reduction, axis);
  if (!any_requires_grad({x})) return y;
  return record(
      "reduce", std::move(y), {x},
      [x_shape = x.shape(), format = x.format(), reduction, axis](const BackwardContext& context) {
        const Tensor dy = as_format(context.grad, MemoryFormat::Contiguous);
        return std::vector{as_format(kernels::reduce_backward(dy, x_shape, reduction, axis), format)};
      });
}

}  // namespace dlcuda::functional

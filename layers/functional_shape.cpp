// Pooling, reductions, losses, and what changes only the shape or the memory format.
#include "dlcuda/core/check.h"
#include "dlcuda/kernels/cross_entropy.h"
#include "dlcuda/kernels/softmax.h"
#include "dlcuda/layers/functional.h"
#include "dlcuda/layers/recording.h"

namespace dlcuda::functional {

using autograd::any_requires_grad;
using autograd::BackwardContext;
using autograd::record;
using autograd::Saved;

Tensor avg_pool2d(const Tensor& x, const Pool2dParams& params) {
  Tensor y = kernels::avg_pool2d_forward(x, params);
  if (!any_requires_grad({x})) return y;
  return record(
      "avg_pool2d", std::move(y), {x},
      [x_shape = x.shape(), format = x.format(), params](const BackwardContext& context) {
        return std::vector{kernels::avg_pool2d_backward(as_format(context.grad, format), x_shape, params)};
      });
}

Tensor max_pool2d(const Tensor& x, const Pool2dParams& params) {
  auto [y, indices] = kernels::max_pool2d_forward(x, params);
  if (!any_requires_grad({x})) return y;
  return record("max_pool2d", std::move(y), {x},
                [saved = Saved(indices), x_shape = x.shape(), params](const BackwardContext& context) {
                  const Tensor& places = saved.get();
                  return std::vector{kernels::max_pool2d_backward(as_format(context.grad, places.format()),
                                                                  places, x_shape, params)};
                });
}

Tensor flatten(const Tensor& x) {
  DLCUDA_CHECK(x.rank() >= 1, ShapeError, "flatten: expected a leading batch axis, got a scalar");
  const std::int64_t features = Shape(x.shape().extents().subspan(1)).numel();
  return contiguous(x).view(Shape{x.size(0), features});
}

Tensor contiguous(const Tensor& x) { return to_format(x, MemoryFormat::Contiguous); }

Tensor to_format(const Tensor& x, MemoryFormat format) {
  if (x.format() == format && x.is_dense()) return x;
  // Where both formats lie alike in memory (one channel, one pixel), only the name changes.
  if (format == MemoryFormat::Contiguous ? x.is_contiguous() : x.is_channels_last()) {
    return x.with_format(format);
  }
  Tensor y = kernels::to_format(x.detach(), format);
  if (!any_requires_grad({x})) return y;
  return record("to_format", std::move(y), {x}, [before = x.format()](const BackwardContext& context) {
    return std::vector{as_format(context.grad, before)};
  });
}

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

Tensor softmax(const Tensor& x) {
  Tensor y = kernels::softmax_forward(x);
  if (!any_requires_grad({x})) return y;
  Saved saved_y(y);
  return record("softmax", std::move(y), {x}, [saved_y = std::move(saved_y)](const BackwardContext& context) {
    const Tensor& output = saved_y.get();
    return std::vector{kernels::softmax_backward(as_format(context.grad, output.format()), output)};
  });
}

Tensor cross_entropy(const Tensor& logits, const Tensor& labels) {
  auto [loss, log_sum_exp] = kernels::cross_entropy_forward(logits, labels);
  if (!any_requires_grad({logits})) return loss;
  return record("cross_entropy", std::move(loss), {logits},
                [saved_logits = Saved(logits), saved_labels = Saved(labels),
                 saved_log_sum_exp = Saved(log_sum_exp)](const BackwardContext& context) {
                  return std::vector{kernels::cross_entropy_backward(
                      context.grad, saved_logits.get(), saved_labels.get(), saved_log_sum_exp.get())};
                });
}

}  // namespace dlcuda::functional

#include "dlcuda/layers/functional/pooling.h"

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

Tensor adaptive_avg_pool2d(const Tensor& x, std::array<std::int64_t, 2> size) {
  Tensor y = kernels::adaptive_avg_pool2d_forward(x, size);
  if (!any_requires_grad({x})) return y;
  return record(
      "adaptive_avg_pool2d", std::move(y), {x},
      [x_shape = x.shape(), format = x.format()](const BackwardContext& context) {
        return std::vector{kernels::adaptive_avg_pool2d_backward(as_format(context.grad, format), x_shape)};
      });
}

Tensor adaptive_max_pool2d(const Tensor& x, std::array<std::int64_t, 2> size) {
  auto [y, indices] = kernels::adaptive_max_pool2d_forward(x, size);
  if (!any_requires_grad({x})) return y;
  return record("adaptive_max_pool2d", std::move(y), {x},
                [saved = Saved(indices), x_shape = x.shape()](const BackwardContext& context) {
                  const Tensor& places = saved.get();
                  return std::vector{kernels::adaptive_max_pool2d_backward(
                      as_format(context.grad, places.format()), places, x_shape)};
                });
}

Tensor global_avg_pool2d(const Tensor& x) { return adaptive_avg_pool2d(x, {1, 1}); }
Tensor global_max_pool2d(const Tensor& x) { return adaptive_max_pool2d(x, {1, 1}); }

}  // namespace dlcuda::functional

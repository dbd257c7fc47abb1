#include "dlcuda/layers/conv_pool.h"

#include "dlcuda/core/autograd.h"
#include "dlcuda/kernels/conv2d_pool.h"
#include "dlcuda/layers/recording.h"

namespace dlcuda {
namespace functional {

PooledConvolution conv2d_pool(const Tensor& x, const Tensor& weight, const Tensor& bias,
                              const Conv2dParams& params, const ActivationParams& activation) {
  if (kernels::activation_saves_input(activation.kind)) {
    const Tensor y = conv2d_activation(x, weight, bias, params, activation);
    return {y.detach(), avg_pool2d(y, {})};
  }
  auto [y, pooled] = kernels::conv2d_pool_forward(x, weight, bias, params, activation);
  if (!autograd::any_requires_grad({x, weight, bias})) return {std::move(y), std::move(pooled)};
  const MemoryFormat format = pooled.format();
  autograd::Saved saved_y(y);
  Tensor out = autograd::record(
      "conv2d_pool", std::move(pooled), {x, weight, bias},
      [saved_y = std::move(saved_y), saved_x = autograd::Saved(x), saved_weight = autograd::Saved(weight),
       params, activation, format](const autograd::BackwardContext& context) {
        auto gradients = kernels::conv2d_pool_backward({.dpooled = as_format(context.grad, format),
                                                        .y = saved_y.get(),
                                                        .x = saved_x.get(),
                                                        .weight = saved_weight.get(),
                                                        .wants_x = context.needs(0),
                                                        .wants_weight = context.needs(1),
                                                        .wants_bias = context.needs(2)},
                                                       params, activation);
        return std::vector{std::move(gradients.x), std::move(gradients.weight), std::move(gradients.bias)};
      });
  return {std::move(y), std::move(out)};
}

}  // namespace functional

Tensor PooledConv2d::operator()(const Tensor& x, const functional::ActivationParams& activation,
                                HalvingPool& pool) {
  Tensor pooled;
  call([&] {
    auto out = functional::conv2d_pool(x, weight(), bias(), options().params, activation);
    pooled = std::move(out.pooled);
    return std::move(out.y);
  });
  return pool.pass(pooled);
}

}  // namespace dlcuda

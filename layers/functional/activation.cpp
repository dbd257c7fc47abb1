#include "dlcuda/layers/functional/activation.h"

#include "dlcuda/kernels/softmax.h"
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

Tensor softmax(const Tensor& x) {
  Tensor y = kernels::softmax_forward(x);
  if (!any_requires_grad({x})) return y;
  Saved saved_y(y);
  return record("softmax", std::move(y), {x}, [saved_y = std::move(saved_y)](const BackwardContext& context) {
    const Tensor& output = saved_y.get();
    return std::vector{kernels::softmax_backward(as_format(context.grad, output.format()), output)};
  });
}

}  // namespace dlcuda::functional

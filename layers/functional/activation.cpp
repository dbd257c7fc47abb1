#include "dlcuda/layers/functional/activation.h"

#include "dlcuda/kernels/softmax.h"
#include "dlcuda/layers/recording.h"

namespace dlcuda::functional {

using autograd::any_requires_grad;
using autograd::BackwardContext;
using autograd::record;
using autograd::Saved;

Tensor activation(const Tensor& x, const ActivationParams& params) {
  if (params.kind == Activation::Identity) return x;
  Tensor y = kernels::activation_forward(x, params);
  if (!any_requires_grad({x})) return y;
  Saved saved(kernels::activation_saves_input(params.kind) ? x : y);
  return record("activation", std::move(y), {x},
                [saved = std::move(saved), params](const BackwardContext& context) {
                  const Tensor& kept = saved.get();
                  return std::vector{
                      kernels::activation_backward(as_format(context.grad, kept.format()), kept, params)};
                });
}

Tensor sigmoid(const Tensor& x) { return activation(x, {.kind = Activation::Sigmoid}); }
Tensor tanh(const Tensor& x) { return activation(x, {.kind = Activation::Tanh}); }
Tensor relu(const Tensor& x) { return activation(x, {.kind = Activation::Relu}); }
Tensor relu6(const Tensor& x) { return activation(x, {.kind = Activation::Relu6}); }
Tensor leaky_relu(const Tensor& x, float slope) {
  return activation(x, {.kind = Activation::LeakyRelu, .slope = slope});
}
Tensor elu(const Tensor& x, float alpha) { return activation(x, {.kind = Activation::Elu, .alpha = alpha}); }
Tensor silu(const Tensor& x) { return activation(x, {.kind = Activation::Silu}); }
Tensor gelu(const Tensor& x) { return activation(x, {.kind = Activation::Gelu}); }
Tensor gelu_tanh(const Tensor& x) { return activation(x, {.kind = Activation::GeluTanh}); }
Tensor hard_sigmoid(const Tensor& x) { return activation(x, {.kind = Activation::HardSigmoid}); }
Tensor hard_swish(const Tensor& x) { return activation(x, {.kind = Activation::HardSwish}); }
Tensor softplus(const Tensor& x, float beta, float threshold) {
  return activation(x, {.kind = Activation::Softplus, .beta = beta, .threshold = threshold});
}

Tensor softmax(const Tensor& x, int axis) {
  Tensor y = kernels::softmax_forward(x, axis);
  if (!any_requires_grad({x})) return y;
  return record("softmax", y, {x}, [saved_y = Saved(y), axis](const BackwardContext& context) {
    const Tensor& output = saved_y.get();
    return std::vector{kernels::softmax_backward(as_format(context.grad, output.format()), output, axis)};
  });
}

Tensor log_softmax(const Tensor& x, int axis) {
  Tensor y = kernels::log_softmax_forward(x, axis);
  if (!any_requires_grad({x})) return y;
  return record("log_softmax", y, {x}, [saved_y = Saved(y), axis](const BackwardContext& context) {
    const Tensor& output = saved_y.get();
    return std::vector{kernels::log_softmax_backward(as_format(context.grad, output.format()), output, axis)};
  });
}

}  // namespace dlcuda::functional

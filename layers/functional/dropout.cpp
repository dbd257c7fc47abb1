#include "dlcuda/layers/functional/dropout.h"

#include "dlcuda/kernels/dropout.h"
#include "dlcuda/layers/recording.h"

namespace dlcuda::functional {

using autograd::any_requires_grad;
using autograd::BackwardContext;
using autograd::record;
using autograd::Saved;

namespace {

using Kernel = Tensor (*)(const Tensor&, const kernels::DropoutParams&);

Tensor masked(const char* name, Kernel kernel, const Tensor& x, double p, bool training,
              kernels::Generator& generator) {
  if (!training || p == 0) return x;
  const kernels::DropoutParams params{.p = p, .call = generator.next_call()};
  Tensor y = kernel(x, params);
  if (!any_requires_grad({x})) return y;
  // The step number is saved as a tensor that must not change: after advance_step() another mask would be
  // drawn.
  return record(
      name, std::move(y), {x},
      [kernel, params, step = Saved(params.call.step), format = x.format()](const BackwardContext& context) {
        (void)step.get();
        return std::vector{kernel(as_format(context.grad, format), params)};
      });
}

}  // namespace

Tensor dropout(const Tensor& x, double p, bool training, kernels::Generator& generator) {
  return masked("dropout", kernels::dropout, x, p, training, generator);
}

Tensor channel_dropout(const Tensor& x, double p, bool training, kernels::Generator& generator) {
  return masked("channel_dropout", kernels::channel_dropout, x, p, training, generator);
}

Tensor sample_dropout(const Tensor& x, double p, bool training, kernels::Generator& generator) {
  return masked("sample_dropout", kernels::sample_dropout, x, p, training, generator);
}

}  // namespace dlcuda::functional

#include <cmath>

#include "dlcuda/core/check.h"
#include "dlcuda/optim/optimizer.h"

namespace dlcuda {

Adam::Adam(const NamedTensors& parameters, double learning_rate, const kernels::AdamParams& params)
    : Optimizer(parameters, learning_rate, 2), params_(params) {
  for (const double beta : {params.beta1, params.beta2}) {
    DLCUDA_CHECK(0 <= beta && beta < 1, ArgumentError, "Adam: betas must be in [0, 1), got {} and {}",
                 params.beta1, params.beta2);
  }
  DLCUDA_CHECK(std::isfinite(params.epsilon) && params.epsilon > 0, ArgumentError,
               "Adam: epsilon must be finite and positive, got {}", params.epsilon);
  DLCUDA_CHECK(std::isfinite(params.weight_decay) && params.weight_decay >= 0, ArgumentError,
               "Adam: weight_decay must be finite and not negative, got {}", params.weight_decay);
  step_ = Tensor::zeros({1}, DType::I64, device());
}

void Adam::update(std::span<const kernels::UpdateTensors> tensors, const Tensor& unscale) {
  kernels::adam_update(device(), tensors, learning_rate_tensor(), step_, params_, unscale);
}

std::string Adam::describe() const {
  const kernels::AdamParams usual;
  std::string text = fmt::format("{}(lr {}", params_.decoupled ? "AdamW" : "Adam", learning_rate());
  if (params_.beta1 != usual.beta1 || params_.beta2 != usual.beta2) {
    text += fmt::format(", betas {} and {}", params_.beta1, params_.beta2);
  }
  if (params_.epsilon != usual.epsilon) text += fmt::format(", epsilon {}", params_.epsilon);
  if (params_.weight_decay != 0) text += fmt::format(", weight decay {}", params_.weight_decay);
  return text + ")";
}

}  // namespace dlcuda

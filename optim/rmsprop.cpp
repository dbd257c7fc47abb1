#include <cmath>

#include "dlcuda/core/check.h"
#include "dlcuda/optim/optimizer.h"

namespace dlcuda {

RmsProp::RmsProp(const NamedTensors& parameters, double learning_rate, const kernels::RmsPropParams& params)
    : Optimizer(parameters, learning_rate, params.momentum != 0 ? 2 : 1), params_(params) {
  DLCUDA_CHECK(0 <= params.alpha && params.alpha < 1, ArgumentError,
               "RmsProp: alpha must be in [0, 1), got {}", params.alpha);
  DLCUDA_CHECK(std::isfinite(params.epsilon) && params.epsilon > 0, ArgumentError,
               "RmsProp: epsilon must be finite and positive, got {}", params.epsilon);
  DLCUDA_CHECK(std::isfinite(params.momentum) && params.momentum >= 0, ArgumentError,
               "RmsProp: momentum must be finite and not negative, got {}", params.momentum);
  DLCUDA_CHECK(std::isfinite(params.weight_decay) && params.weight_decay >= 0, ArgumentError,
               "RmsProp: weight_decay must be finite and not negative, got {}", params.weight_decay);
}

void RmsProp::update(std::span<const kernels::UpdateTensors> tensors, const Tensor& unscale) {
  kernels::rmsprop_update(device(), tensors, learning_rate_tensor(), params_, unscale);
}

std::string RmsProp::describe() const {
  const kernels::RmsPropParams usual;
  std::string text = fmt::format("RMSprop(lr {}", learning_rate());
  if (params_.alpha != usual.alpha) text += fmt::format(", alpha {}", params_.alpha);
  if (params_.momentum != 0) text += fmt::format(", momentum {}", params_.momentum);
  if (params_.epsilon != usual.epsilon) text += fmt::format(", epsilon {}", params_.epsilon);
  if (params_.weight_decay != 0) text += fmt::format(", weight decay {}", params_.weight_decay);
  return text + ")";
}

}  // namespace dlcuda

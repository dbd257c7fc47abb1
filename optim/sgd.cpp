#include <cmath>

#include "dlcuda/core/check.h"
#include "dlcuda/optim/optimizer.h"

namespace dlcuda {

Sgd::Sgd(const NamedTensors& parameters, double learning_rate, const kernels::SgdParams& params)
    : Optimizer(parameters, learning_rate, params.momentum != 0 ? 1 : 0), params_(params) {
  DLCUDA_CHECK(std::isfinite(params.momentum) && params.momentum >= 0, ArgumentError,
               "Sgd: momentum must be finite and not negative, got {}", params.momentum);
  DLCUDA_CHECK(std::isfinite(params.weight_decay) && params.weight_decay >= 0, ArgumentError,
               "Sgd: weight_decay must be finite and not negative, got {}", params.weight_decay);
  DLCUDA_CHECK(!params.nesterov || params.momentum > 0, ArgumentError,
               "Sgd: Nesterov's variant needs a momentum above 0");
}

void Sgd::update(std::span<const kernels::UpdateTensors> tensors, const Tensor& unscale) {
  kernels::sgd_update(device(), tensors, learning_rate_tensor(), params_, unscale);
}

std::string Sgd::describe() const {
  std::string text = fmt::format("SGD(lr {}", learning_rate());
  if (params_.momentum != 0) text += fmt::format(", momentum {}", params_.momentum);
  if (params_.nesterov) text += ", nesterov";
  if (params_.weight_decay != 0) text += fmt::format(", weight decay {}", params_.weight_decay);
  return text + ")";
}

}  // namespace dlcuda

#include "dlcuda/optim/loss_scale.h"

#include "dlcuda/core/backward.h"
#include "dlcuda/core/memory/tag.h"

namespace dlcuda {

LossScale::LossScale(Device device, const kernels::LossScaleParams& params) : params_(params) {
  const MemoryTagScope scope("optimizer");
  state_ = kernels::make_loss_scale(device, params);
}

LossScale LossScale::for_dtype(DType dtype, Device device) {
  return dtype == DType::F16 ? LossScale(device) : LossScale();
}

void LossScale::backward(const Tensor& loss, GradientMode mode) const {
  if (enabled()) {
    autograd::backward(loss, state_.scale.view(loss.shape()), mode);
  } else {
    loss.backward(mode);
  }
}

double LossScale::value() const { return enabled() ? double(state_.scale.values<float>()[0]) : 1.0; }

std::int64_t LossScale::steps_left_out() const {
  return enabled() ? state_.counts.values<std::int64_t>()[1] : 0;
}

const Tensor& LossScale::settle(std::span<const kernels::GradientView> gradients) {
  kernels::settle_loss_scale(gradients, state_, params_);
  return state_.unscale;
}

}  // namespace dlcuda

#include "dlcuda/kernels/loss_scale.h"

#include <cmath>

#include "dlcuda/kernels/checks.h"
#include "dlcuda/kernels/dispatch.h"

namespace dlcuda::kernels {
namespace {

void check(const LossScaleParams& params) {
  constexpr float kSmallest = 0x1p-126f;
  const auto initial = static_cast<float>(params.initial);
  DLCUDA_CHECK(std::isfinite(initial) && initial >= kSmallest, ArgumentError,
               "loss scale: the initial scale must be positive and within f32's range, got {}",
               params.initial);
  DLCUDA_CHECK(std::isfinite(params.growth) && params.growth > 1, ArgumentError,
               "loss scale: the growth factor must be finite and above 1, got {}", params.growth);
  DLCUDA_CHECK(params.backoff > 0 && params.backoff < 1, ArgumentError,
               "loss scale: the backoff factor must be between 0 and 1, got {}", params.backoff);
  DLCUDA_CHECK(params.interval >= 1, ArgumentError,
               "loss scale: the growth interval must be at least 1 step, got {}", params.interval);
}

}  // namespace

LossScaleState make_loss_scale(Device device, const LossScaleParams& params) {
  check(params);
  const std::vector<float> initial{static_cast<float>(params.initial)};
  return {.scale = Tensor::from_values(initial, {1}, device),
          .unscale = Tensor::zeros({1}, DType::F32, device),
          .counts = Tensor::zeros({3}, DType::I64, device)};
}

void settle_loss_scale(std::span<const GradientView> gradients, LossScaleState& state,
                       const LossScaleParams& params) {
  check(params);
  require_dtype("settle_loss_scale", "scale", state.scale, DType::F32);
  const Device device = state.scale.device();
  require_shape("settle_loss_scale", "scale", state.scale, {1});
  require_like("settle_loss_scale", "unscale", state.unscale, "scale", state.scale);
  require_dtype("settle_loss_scale", "counts", state.counts, DType::I64);
  require_device("settle_loss_scale", "counts", state.counts, device);
  require_shape("settle_loss_scale", "counts", state.counts, {3});
  for (std::size_t i = 0; i < gradients.size(); ++i) {
    const DType dtype = gradients[i].view.dtype;
    DLCUDA_CHECK(is_floating_point(dtype) && (dtype != DType::F64 || device.is_cpu()), DTypeError,
                 "settle_loss_scale: gradient {} must be f32, f16 or bf16{}, got {}", i,
                 device.is_cpu() ? " or f64" : "", to_string(dtype));
  }
  const LossScaleViews views{state.scale.raw(), state.unscale.raw(), state.counts.raw()};
  DLCUDA_DISPATCH_LOOPS(device, settle_loss_scale, gradients, views, params);
  state.scale.bump_version();
  state.unscale.bump_version();
  state.counts.bump_version();
}

}  // namespace dlcuda::kernels

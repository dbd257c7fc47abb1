// The dynamic scale of a loss whose gradients are f16: it lives on the device, so that a recorded step sees
// it change.
#pragma once

#include <cstdint>
#include <span>

#include "dlcuda/core/tensor.h"
#include "dlcuda/kernels/loss_scale.h"

namespace dlcuda DLCUDA_API {

///   LossScale scale(device);
///   scale.backward(loss);     // gradients are those of the loss times the scale
///   optimizer.step(scale);    // takes it out again; leaves the step out where a gradient is not finite
///
/// The scale falls by half when a step was left out, and doubles after 2000 steps in a row that were not
/// (LossScaleParams). It serves one optimiser: each step() with it is one step of its own. Gradients of
/// several passes may be accumulated before step(). Not thread-safe; must outlive recordings of steps that
/// use it.
class LossScale {
 public:
  /// A scale of 1 that costs nothing: what dtypes with the range of f32 need.
  LossScale() = default;
  /// Throws ArgumentError for parameters out of range.
  explicit LossScale(Device device, const kernels::LossScaleParams& params = {});
  /// What a model in `dtype` needs: a scale for f16.
  static LossScale for_dtype(DType dtype, Device device);

  bool enabled() const { return state_.scale.defined(); }
  /// Of one that is enabled.
  Device device() const { return state_.scale.device(); }
  /// loss: a scalar in f32.
  void backward(const Tensor& loss, GradientMode mode = GradientMode::Overwrite) const;

  /// These wait for the device. The scale as it is now, and how many steps were left out.
  double value() const;
  std::int64_t steps_left_out() const;

  /// For Optimizer::step(), where it is enabled: looks at the gradients, changes the scale, and returns what
  /// to multiply them by.
  const Tensor& settle(std::span<const kernels::GradientView> gradients);

 private:
  kernels::LossScaleParams params_;
  kernels::LossScaleState state_;
};

}  // namespace dlcuda

// Optimiser updates, all parameters in one launch. Whatever changes from step to step is read from the
// device.
#pragma once

#include <span>

#include "dlcuda/kernels/backend.h"

namespace dlcuda {
namespace kernels DLCUDA_API {

/// One parameter with its gradient and optimiser state: as many elements each, dense, the same strides.
struct UpdateTensors {
  TensorView parameter;  ///< f32 (f64 on the CPU)
  TensorView gradient;   ///< like the parameter; or bf16 or f16 for one in f32
  /// Like the parameter, zero at first. SGD: momentum; RMSprop: mean square; Adam: first moment.
  TensorView state1 = {};
  TensorView state2 = {};  ///< the same. RMSprop: momentum; Adam: second moment
  /// None, or in the gradient's dtype (bf16, f16): gets the new parameter, rounded.
  TensorView copy = {};

  template <typename Visit>
  void for_each_view(const Visit& visit) const {
    for (const TensorView* view : {&parameter, &gradient, &state1, &state2, &copy}) visit(*view);
  }
};

// What all have in common: lr is f32, one element, on the device. unscale, if there is one, is the same: what
// gradients are multiplied by first; where it is 0, nothing is changed (kernels/loss_scale.h). Where a label
// out of range was found on a CUDA device (kernels/cross_entropy.h), nothing is changed until that was
// reported.

struct SgdParams {
  double momentum = 0;
  double weight_decay = 0;  ///< added to the gradient
  bool nesterov = false;
};
/// g = gradient + weight_decay * parameter; state1 = momentum * state1 + g; parameter -= lr * (state1, or
/// g + momentum * state1 with nesterov, or g without momentum, which needs no state).
void sgd_update(Device device, std::span<const UpdateTensors> tensors, const Tensor& lr,
                const SgdParams& params, const Tensor& unscale = {});

struct RmsPropParams {
  double alpha = 0.99;  ///< how much of the mean square stays
  double epsilon = 1e-8;
  double momentum = 0;
  double weight_decay = 0;  ///< added to the gradient
};
/// RMSprop (Tieleman & Hinton, 2012): state1 = alpha * state1 + (1 - alpha) g^2;
/// step = g / (sqrt(state1) + epsilon); with momentum, state2 = momentum * state2 + step takes its place;
/// parameter -= lr * step.
void rmsprop_update(Device device, std::span<const UpdateTensors> tensors, const Tensor& lr,
                    const RmsPropParams& params, const Tensor& unscale = {});

struct AdamParams {
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;
  double weight_decay = 0;  ///< added to the gradient, or
  bool decoupled = false;   ///< taken off the parameter: AdamW (Loshchilov & Hutter, 2019)
};
/// Adam (Kingma & Ba, 2015) with bias correction. step: i64, one element, the updates so far; counted up
/// first.
void adam_update(Device device, std::span<const UpdateTensors> tensors, const Tensor& lr, Tensor& step,
                 const AdamParams& params, const Tensor& unscale = {});

DLCUDA_LOOP_BACKENDS(void sgd_update(std::span<const UpdateTensors> tensors, const TensorView& lr,
                                     const TensorView& unscale, const SgdParams& params);
                     void rmsprop_update(std::span<const UpdateTensors> tensors, const TensorView& lr,
                                         const TensorView& unscale, const RmsPropParams& params);
                     void adam_update(std::span<const UpdateTensors> tensors, const TensorView& lr,
                                      const TensorView& step, const TensorView& unscale,
                                      const AdamParams& params);)

}  // namespace kernels
}  // namespace dlcuda

// Optimiser updates, all parameters in one launch. Whatever changes from step to step is read from the
// device.
#pragma once

#include <span>

#include "dlcuda/kernels/backend.h"

namespace dlcuda {
namespace kernels DLCUDA_API {

/// One parameter with its gradient and optimiser state: same shape, f32 (f64 on the CPU), dense, same
/// strides.
struct UpdateTensors {
  TensorView parameter;
  TensorView gradient;
  TensorView state1;  ///< SGD: momentum buffer (unused without momentum); Adam: first moment
  TensorView state2;  ///< Adam: second moment
};

struct SgdParams {
  double momentum = 0;
  double weight_decay = 0;  ///< added to the gradient
  bool nesterov = false;
};
/// g = gradient + weight_decay * parameter; state1 = momentum * state1 + g; parameter -= lr * (state1, or
/// g + momentum * state1 with nesterov, or g without momentum). State starts at zero. lr: f32, one element.
void sgd_update(Device device, std::span<const UpdateTensors> tensors, const Tensor& lr,
                const SgdParams& params);

struct AdamParams {
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;
  double weight_decay = 0;  ///< added to the gradient
};
/// Adam (Kingma & Ba, 2015) with bias correction from `step`: i64, one element, the number of this update
/// (first: 1).
void adam_update(Device device, std::span<const UpdateTensors> tensors, const Tensor& lr, const Tensor& step,
                 const AdamParams& params);

DLCUDA_LOOP_BACKENDS(void sgd_update(std::span<const UpdateTensors> tensors, const TensorView& lr,
                                     const SgdParams& params);
                     void adam_update(std::span<const UpdateTensors> tensors, const TensorView& lr,
                                      const TensorView& step, const AdamParams& params);)

}  // namespace kernels
}  // namespace dlcuda

// What follows a convolution, in place: y = activation(y + bias + residual). Internal.
#pragma once

#include "dlcuda/kernels/activation.h"
#include "dlcuda/kernels/axis_layout.h"

namespace dlcuda::kernels {

/// By a backend's batch_norm_apply, and its activation_forward for an activation that no norm fuses.
template <typename Apply, typename Activate>
void conv2d_epilogue(const TensorView& bias, const TensorView& residual, const TensorView& y,
                     const ActivationParams& activation, const Apply& apply, const Activate& activate) {
  const bool channels_last = y.strides[1] == 1 && y.strides[3] != 1;
  const TensorView channels = along_axis(y, 1, channels_last), none{};
  const bool apart = activation_saves_input(activation.kind);
  apply(channels, none, none, none, bias, residual.data ? along_axis(residual, 1, channels_last) : none,
        channels, apart ? ActivationParams{.kind = Activation::Identity} : activation);
  if (apart) activate(y, y, activation);
}

}  // namespace dlcuda::kernels

// For channels-last tensors cuDNN's tensor-core engines want the weights channels-last too, (O, KH, KW, I):
// mixed layouts have few engines or none. So a copy in that order is made for each call (of weights, which
// are small beside the activations), and a weight gradient is computed in that order and copied back.
// One-pixel kernels and one-channel groups lie the same way in both orders and are used as they are.
#pragma once

#include "dlcuda/core/tensor.h"
#include "dlcuda/kernels/copy.h"
#include "dlcuda/kernels/cuda/format.h"
#include "dlcuda/kernels/cuda/stream.h"

namespace dlcuda::kernels::cuda {

/// Room for a contiguous weight in channels-last order, where the pictures that it meets are in that order
/// and it makes a difference; else undefined.
inline Tensor channels_last_weight(const TensorView& weight, const TensorView& x, const TensorView& y) {
  const bool same = weight.shape[1] == 1 || weight.shape[2] * weight.shape[3] == 1;
  if (same || !(is_channels_last(x) || is_channels_last(y))) return {};
  return Tensor::empty({weight.shape[0], weight.shape[1], weight.shape[2], weight.shape[3]}, weight.dtype,
                       this_device(), MemoryFormat::ChannelsLast);
}

/// A weight as cuDNN takes it; `room` holds it, where it had to be copied.
inline TensorView ordered(const TensorView& weight, const Tensor& room) {
  if (!room.defined()) return weight;
  copy(weight, room.raw());
  return room.raw();
}

}  // namespace dlcuda::kernels::cuda

// cuDNN's engines want pictures and weights in one format: mixed ones have few engines or none. Weights that
// lie in the other one (Module::to(format) changes that) are copied for each call, and a weight gradient is
// computed in the pictures' format and copied back. One-pixel kernels and one-channel groups lie the same way
// in both formats.
#pragma once

#include "dlcuda/core/tensor.h"
#include "dlcuda/kernels/copy.h"
#include "dlcuda/kernels/cuda/format.h"
#include "dlcuda/kernels/cuda/stream.h"

namespace dlcuda::kernels::cuda {

/// Room for a weight in the format of the pictures that it meets, where it lies otherwise; else undefined.
inline Tensor room_for_weight(const TensorView& weight, const TensorView& x, const TensorView& y) {
  const bool same = weight.shape[1] == 1 || weight.shape[2] * weight.shape[3] == 1;
  const bool wanted = is_channels_last(x) || is_channels_last(y);
  if (same || wanted == is_channels_last(weight)) return {};
  return Tensor::empty({weight.shape[0], weight.shape[1], weight.shape[2], weight.shape[3]}, weight.dtype,
                       this_device(), wanted ? MemoryFormat::ChannelsLast : MemoryFormat::Contiguous);
}

/// A weight as cuDNN takes it; `room` holds it, where it had to be copied.
inline TensorView ordered(const TensorView& weight, const Tensor& room) {
  if (!room.defined()) return weight;
  copy(weight, room.raw());
  return room.raw();
}

}  // namespace dlcuda::kernels::cuda

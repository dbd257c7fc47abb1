// How a dense (N, C, ...) tensor lies in memory, for kernels that walk channels.
#pragma once

#include "dlcuda/core/tensor_view.h"

namespace dlcuda::kernels::cuda {

/// True when the channel is the fastest axis and that makes a difference: a tensor with one channel, or with
/// one pixel, lies the same way in both formats.
inline bool is_channels_last(const TensorView& x) {
  return x.rank == 4 && x.shape[1] > 1 && x.shape[2] * x.shape[3] > 1 && x.strides[1] == 1;
}

/// The tensor as (outer, channels, inner) in physical order. Channels-last: (N H W, C, 1).
struct ChannelLayout {
  std::int64_t outer = 1, channels = 1, inner = 1;

  explicit ChannelLayout(const TensorView& x) : channels(x.shape[1]) {
    outer = x.shape[0];
    std::int64_t& rest = is_channels_last(x) ? outer : inner;
    for (int axis = 2; axis < x.rank; ++axis) rest *= x.shape[axis];
  }
};

}  // namespace dlcuda::kernels::cuda

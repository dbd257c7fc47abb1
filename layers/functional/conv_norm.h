// A convolution between batch normalisations, in training. See layers/functional.h; kernels/conv2d_norm.h
// gives the formulas, and says where this is faster than the parts.
#pragma once

#include "dlcuda/kernels/conv2d_norm.h"
#include "dlcuda/layers/functional/normalization.h"

namespace dlcuda {
namespace functional DLCUDA_API {

/// f(batch_norm(raw)) with the statistics of the batch, not computed yet, f being ReLU or ReLU6: a
/// convolution can do so as it reads. Without a norm's weight: raw itself, with nothing to do.
struct PendingNorm {
  Tensor raw;                       ///< (N, C, H, W)
  kernels::ChannelTotals totals{};  ///< of raw, or undefined: a pass over raw takes its statistics
  BatchNormTensors tensors{};       ///< weight and bias are needed; the running ones move in the next call
  BatchNormParams params{};         ///< with the activation
};

struct ConvolutionWithTotals {
  Tensor y;                       ///< (N, O, OH, OW)
  kernels::ChannelTotals totals;  ///< of y; no gradient goes through them
};
/// conv2d without a bias, one node with what is pending.
ConvolutionWithTotals conv2d_with_totals(const PendingNorm& x, const Tensor& weight,
                                         const kernels::Conv2dParams& params = {});

}  // namespace functional
}  // namespace dlcuda

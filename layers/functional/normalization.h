// Normalisation. See layers/functional.h; kernels/batch_norm.h, group_norm.h and local_response_norm.h give
// the formulas.
#pragma once

#include "dlcuda/kernels/batch_norm.h"
#include "dlcuda/kernels/local_response_norm.h"

namespace dlcuda {
namespace functional DLCUDA_API {

using kernels::BatchNormParams;
using kernels::LocalResponseNormParams;

/// The tensors of a batch normalisation, (C) each. Weight and bias come together or not at all, and so do the
/// running statistics, which training moves and inference uses.
struct BatchNormTensors {
  Tensor weight{}, bias{};
  Tensor running_mean{}, running_var{};
  Tensor batches{};  ///< i64, one element, or undefined: counts the batches that were trained on
};

/// Training uses the batch's statistics, and so does inference without running ones. x (N, C) or (N, C, H,
/// W). params.activation follows in the same pass.
Tensor batch_norm(const Tensor& x, const BatchNormTensors& tensors, bool training,
                  const BatchNormParams& params = {});
/// activation(batch_norm(x) + residual), one node; residual is like x. totals, if defined, are those of x,
/// for training. into, if defined, becomes the result: a channel slice, say, of a tensor of which others
/// write the rest; its gradient may be a slice, too. Throws ArgumentError for `into` beside a residual.
Tensor batch_norm_add(const Tensor& x, const Tensor& residual, const BatchNormTensors& tensors, bool training,
                      const BatchNormParams& params = {}, const kernels::ChannelTotals& totals = {},
                      const Tensor& into = {});

/// x (N, C, ...) with one mean and variance for each sample and each of `groups` equal runs of channels.
Tensor group_norm(const Tensor& x, std::int64_t groups, const Tensor& weight = {}, const Tensor& bias = {},
                  double epsilon = 1e-5);

/// Over the last axes, whose extents are those of `normalized`; weight and bias have that shape, too. x
/// contiguous.
Tensor layer_norm(const Tensor& x, const Shape& normalized, const Tensor& weight = {},
                  const Tensor& bias = {}, double epsilon = 1e-5);

Tensor local_response_norm(const Tensor& x, const LocalResponseNormParams& params = {});

}  // namespace functional
}  // namespace dlcuda

// Differentiable functions: kernels with a backward pass. Each is recorded when an input needs a gradient,
// and saves only what the gradients that are needed are computed from. A gradient has the memory format of
// its tensor. Errors are those of the kernels.
#pragma once

#include <optional>

#include "dlcuda/kernels/activation.h"
#include "dlcuda/kernels/conv2d.h"
#include "dlcuda/kernels/pool2d.h"
#include "dlcuda/kernels/random.h"
#include "dlcuda/kernels/reduce.h"

namespace dlcuda {
namespace functional DLCUDA_API {

using kernels::Activation;
using kernels::ActivationParams;
using kernels::Conv2dParams;
using kernels::Pool2dParams;
using kernels::Reduction;

/// x (N, C, H, W), weight (O, C / groups, KH, KW), bias (O) or undefined -> (N, O, OH, OW), in x's format.
Tensor conv2d(const Tensor& x, const Tensor& weight, const Tensor& bias = {},
              const Conv2dParams& params = {});

/// x (N, I), weight (O, I), bias (O) or undefined -> (N, O).
Tensor linear(const Tensor& x, const Tensor& weight, const Tensor& bias = {});
/// (M, K) x (K, N) -> (M, N)
Tensor matmul(const Tensor& a, const Tensor& b);

Tensor activation(const Tensor& x, const ActivationParams& params);
Tensor sigmoid(const Tensor& x);
Tensor tanh(const Tensor& x);
Tensor relu(const Tensor& x);
Tensor leaky_relu(const Tensor& x, float slope = 0.01f);

Tensor avg_pool2d(const Tensor& x, const Pool2dParams& params = {});
Tensor max_pool2d(const Tensor& x, const Pool2dParams& params = {});

/// In training, drops each element with probability p and scales the others by 1 / (1 - p); otherwise x
/// itself. The mask is drawn again by backward(), which must come before generator.advance_step(); it throws
/// Error otherwise.
Tensor dropout(const Tensor& x, double p, bool training, kernels::Generator& generator);

/// (N, ...) -> (N, product), in N, C, H, W order whatever the format (a copy for channels-last).
Tensor flatten(const Tensor& x);
/// Dense in N, C, H, W order.
Tensor contiguous(const Tensor& x);
Tensor to_format(const Tensor& x, MemoryFormat format);
Tensor cast(const Tensor& x, DType dtype);

/// Same shape, dtype and format; no broadcasting.
Tensor add(const Tensor& a, const Tensor& b);
Tensor multiply(const Tensor& a, const Tensor& b);
Tensor scale(const Tensor& x, double factor);
/// x[n, c, ...] + bias[c]
Tensor bias_add(const Tensor& x, const Tensor& bias);

/// Sum or mean over one axis, or over everything. Max only where no gradient is asked for: ArgumentError.
Tensor reduce(const Tensor& x, Reduction reduction, std::optional<int> axis = {});
/// Over the last axis.
Tensor softmax(const Tensor& x);

/// Mean over rows of -log softmax(logits)[label]; logits (N, C), labels (N) i64.
Tensor cross_entropy(const Tensor& logits, const Tensor& labels);

}  // namespace functional
}  // namespace dlcuda

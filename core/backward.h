// Differentiation that begins with a given gradient. Tensor::backward() begins with 1.
#pragma once

#include "dlcuda/core/tensor.h"

namespace dlcuda {
namespace autograd DLCUDA_API {

/// Differentiates the sum of root's elements times `gradient` by all leaves that root was computed from;
/// `gradient` has root's shape, dtype and device, and is only read. Frees the graph as it goes. Throws
/// ShapeError, DTypeError and DeviceError for a gradient that does not fit.
void backward(const Tensor& root, const Tensor& gradient, GradientMode mode = GradientMode::Overwrite);

}  // namespace autograd
}  // namespace dlcuda

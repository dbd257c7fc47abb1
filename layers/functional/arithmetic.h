// Arithmetic of elements, with broadcasting. See layers/functional.h.
#pragma once

#include "dlcuda/core/tensor.h"

namespace dlcuda {
namespace functional DLCUDA_API {

// Shapes are aligned at their last axes; an extent of 1 is repeated. A gradient is summed over what was
// repeated.
Tensor add(const Tensor& a, const Tensor& b);
Tensor subtract(const Tensor& a, const Tensor& b);
Tensor multiply(const Tensor& a, const Tensor& b);
Tensor divide(const Tensor& a, const Tensor& b);
/// NaN wins; of equals each takes half of the gradient.
Tensor maximum(const Tensor& a, const Tensor& b);
Tensor minimum(const Tensor& a, const Tensor& b);

Tensor scale(const Tensor& x, double factor);
/// x * factor + offset
Tensor affine(const Tensor& x, double factor, double offset);
Tensor exp(const Tensor& x);
Tensor log(const Tensor& x);
Tensor sqrt(const Tensor& x);
/// 1 / sqrt(x)
Tensor rsqrt(const Tensor& x);
/// The gradient at 0 is 0.
Tensor abs(const Tensor& x);
Tensor square(const Tensor& x);
Tensor power(const Tensor& x, double exponent);
/// The gradient is 0 outside the bounds and at them.
Tensor clamp(const Tensor& x, double low, double high);

}  // namespace functional
}  // namespace dlcuda

// Sums and products of elements. See layers/functional.h.
#pragma once

#include "dlcuda/core/tensor.h"

namespace dlcuda {
namespace functional DLCUDA_API {

/// Same shape, dtype and format; no broadcasting.
Tensor add(const Tensor& a, const Tensor& b);
Tensor multiply(const Tensor& a, const Tensor& b);
Tensor scale(const Tensor& x, double factor);

}  // namespace functional
}  // namespace dlcuda

// Element-wise sums, products and constants on dense tensors of one shape and format (no broadcasting).
#pragma once

#include "dlcuda/kernels/backend.h"

namespace dlcuda {
namespace kernels DLCUDA_API {

/// a + b, a * b; floating-point dtypes.
Tensor add(const Tensor& a, const Tensor& b);
Tensor multiply(const Tensor& a, const Tensor& b);
/// x * factor
Tensor scale(const Tensor& x, double factor);
/// into += x
void accumulate(Tensor& into, const Tensor& x);
/// Sets every element; any dtype (rounded toward zero for integers).
void fill(Tensor& x, double value);
/// into + x, computed in place when nobody else holds `into`; what autograd sums gradients with.
Tensor sum_gradients(Tensor into, const Tensor& x);
/// counter += by, for a one-element i64 tensor: step counts that live on the device.
void advance_counter(Tensor& counter, std::int64_t by = 1);

DLCUDA_LOOP_BACKENDS(void add(const TensorView& a, const TensorView& b, const TensorView& out);
                     void multiply(const TensorView& a, const TensorView& b, const TensorView& out);
                     void scale(const TensorView& x, double factor, const TensorView& out);
                     void fill(const TensorView& x, double value);
                     void advance_counter(const TensorView& counter, std::int64_t by);)

}  // namespace kernels
}  // namespace dlcuda

// Tensors that tests compute with, the same in every run.
#pragma once

#include <cstdint>
#include <vector>

#include "dlcuda/kernels/copy.h"
#include "dlcuda/kernels/random.h"

namespace dlcuda {

/// U[low, high), f64 unless another dtype is asked for. Different `ordinal`s give different numbers.
inline Tensor random_tensor(const Shape& shape, std::uint32_t ordinal, DType dtype = DType::F64,
                            double low = -1, double high = 1) {
  Tensor x = Tensor::empty(shape, DType::F64);
  kernels::fill_uniform(x, low, high, {.key = 7, .ordinal = ordinal, .step = Tensor::zeros({1}, DType::I64)});
  return kernels::cast(x, dtype);
}

/// -3 to 4, and 0 twice as often, times `factor`: sums of their products are exact in f32, which must equal
/// an f64 reference to the bit.
inline Tensor random_integers(const Shape& shape, std::uint32_t ordinal, DType dtype = DType::F64,
                              std::int32_t factor = 1) {
  Tensor x = random_tensor(shape, ordinal, DType::I32, -4, 5);
  for (std::int64_t i = 0; i < x.numel(); ++i) x.data<std::int32_t>()[i] *= factor;
  return kernels::cast(x, dtype);
}

/// f64 values in mixed order that all differ, from each other and from 0, by at least 0.005: no difference
/// quotient crosses a kink of ReLU or of a maximum. Below 7919 elements.
inline Tensor distinct_tensor(const Shape& shape) {
  const std::int64_t n = shape.numel();
  std::vector<double> values;
  for (std::int64_t i = 0; i < n; ++i) values.push_back(0.01 * double(i * 7919 % n - n / 2) + 0.005);
  return Tensor::from_values(values, shape);
}

}  // namespace dlcuda

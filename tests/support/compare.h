// Comparison of tensors with what they should be.
#pragma once

#include <vector>

#include "dlcuda/core/tensor.h"
#include "dlcuda/tests/support/devices.h"

namespace dlcuda::testing {

struct Tolerance {
  double relative;
  double absolute;
};
/// The project's tolerances: f64 1e-7 1e-7, f32 1.3e-6 1e-5, bf16 1.6e-2 1e-5, f16 1e-3 1e-5.
Tolerance tolerance(DType dtype);

/// Compares values of any floating-point dtype, in logical order, with an f64 tensor of the same shape; NaN
/// equals NaN. `widen` multiplies the tolerance: say why beside each use.
void expect_close(const Tensor& actual, const Tensor& expected, double widen = 1);
/// The same with a tolerance of its own.
void expect_close(const Tensor& actual, const Tensor& expected, const Tolerance& allowed);
/// |actual - expected| / |expected|, Euclidean: for results of long chains, whose elements cancel.
double relative_distance(const Tensor& actual, const Tensor& expected);
/// All elements as f64, in logical order.
std::vector<double> as_doubles(const Tensor& x);

}  // namespace dlcuda::testing

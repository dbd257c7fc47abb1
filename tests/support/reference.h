// Stored values: the cases that tests/reference/make_kernels.py computed with PyTorch, and comparison with
// them.
#pragma once

#include <string>
#include <vector>

#include "dlcuda/core/tensor.h"
#include "dlcuda/tests/support/devices.h"

namespace dlcuda::testing {

/// One case of an operation: "conv2d/3".
class ReferenceCase {
 public:
  explicit ReferenceCase(std::string name) : name_(std::move(name)) {}
  const std::string& name() const { return name_; }
  bool has(const std::string& key) const;
  /// As stored: f32 or i64 inputs, f64 results, on the CPU.
  Tensor tensor(const std::string& key) const;
  /// A floating-point tensor as a variant wants it (rank 4 in its format).
  Tensor tensor(const std::string& key, const Variant& variant) const;
  /// Parameters; a missing one fails the test and gives `otherwise`.
  std::vector<double> values(const std::string& parameter) const;
  double value(const std::string& parameter, double otherwise = 0) const;
  bool has_parameter(const std::string& parameter) const;

 private:
  std::string name_;
};

/// All cases of an operation; fails the test if there are none.
std::vector<ReferenceCase> reference_cases(const std::string& op);

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
/// All elements as f64, in logical order.
std::vector<double> as_doubles(const Tensor& x);

}  // namespace dlcuda::testing

// Are the gradients right? Analytic ones against central differences, in f64 on the CPU.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "dlcuda/core/tensor.h"

namespace dlcuda DLCUDA_API {

struct GradientCheckOptions {
  double epsilon = 1e-5;  ///< half the width of the difference
  double rtol = 1e-7;     ///< an error up to atol + rtol * |numeric| passes
  double atol = 1e-7;
};

/// The worst element of all, measured against its tolerance.
struct GradientCheck {
  bool ok = true;
  double largest_error = 0;         ///< |analytic - numeric| of that element
  int input = -1;                   ///< which input it belongs to; -1 when there was nothing to check
  std::vector<std::int64_t> index;  ///< where in the input
  double analytic = 0, numeric = 0;

  explicit operator bool() const { return ok; }
  /// "input 1 at [0, 2]: analytic 0.31, numeric 0.52, error 0.21"
  std::string describe() const;
};

/// Differentiates a fixed random projection of f(inputs), so that f may return any shape. f must be
/// deterministic, and smooth around the inputs. f64 inputs are checked element by element, on copies that
/// keep the memory format; inputs of other dtypes (labels) are passed on. f runs 2 * elements + 1 times.
/// Throws ArgumentError when no input is f64 or epsilon is not positive, DTypeError when the output is not
/// f64, DeviceError for an input that is not on the CPU.
GradientCheck check_gradients(const std::function<Tensor(const std::vector<Tensor>&)>& f,
                              const std::vector<Tensor>& inputs, const GradientCheckOptions& options = {});

}  // namespace dlcuda

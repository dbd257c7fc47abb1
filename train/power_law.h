// How fast one quantity grows with another: the exponent of a power law, with its error.
#pragma once

#include <cstddef>
#include <vector>

#include "dlcuda/core/macros.h"

namespace dlcuda DLCUDA_API {

/// A measurement: what it was taken at, and what was found.
struct Sample {
  double x = 0, y = 0;
};

/// y = factor * x^exponent.
struct PowerLaw {
  double exponent = 0;
  double error = 0;      ///< the exponent's standard error; 0 for two samples
  double r_squared = 1;  ///< share of the variance of log y that the law explains
  double factor = 1;
  std::size_t samples = 0;
};

/// Least squares on the logarithms. Throws ArgumentError unless there are two different x, and where a value
/// is not positive and finite.
PowerLaw fit_power_law(const std::vector<Sample>& samples);

/// The larger half by x, but at least three: where constant costs no longer hide how a quantity grows.
std::vector<Sample> larger_half(std::vector<Sample> samples);

}  // namespace dlcuda

#include "dlcuda/train/power_law.h"

#include <algorithm>
#include <cmath>

#include "dlcuda/core/check.h"

namespace dlcuda {

PowerLaw fit_power_law(const std::vector<Sample>& samples) {
  double x_mean = 0, y_mean = 0;
  const auto n = double(samples.size());
  for (const Sample& sample : samples) {
    DLCUDA_CHECK(std::isfinite(sample.x) && sample.x > 0 && std::isfinite(sample.y) && sample.y > 0,
                 ArgumentError, "fit_power_law: values must be above 0 and finite, got ({}, {})", sample.x,
                 sample.y);
    x_mean += std::log(sample.x) / n;
    y_mean += std::log(sample.y) / n;
  }
  double xx = 0, xy = 0, yy = 0;
  for (const Sample& sample : samples) {
    const double x = std::log(sample.x) - x_mean, y = std::log(sample.y) - y_mean;
    xx += x * x;
    xy += x * y;
    yy += y * y;
  }
  DLCUDA_CHECK(samples.size() >= 2 && xx > 1e-12, ArgumentError,
               "fit_power_law: expected samples at two different x or more, got {} samples", samples.size());
  PowerLaw law{.exponent = xy / xx, .samples = samples.size()};
  law.factor = std::exp(y_mean - law.exponent * x_mean);
  const double unexplained = std::max(0.0, yy - law.exponent * xy);
  if (yy > 1e-12) law.r_squared = 1 - unexplained / yy;
  if (samples.size() > 2) law.error = std::sqrt(unexplained / (n - 2) / xx);
  return law;
}

std::vector<Sample> larger_half(std::vector<Sample> samples) {
  std::sort(samples.begin(), samples.end(), [](const Sample& a, const Sample& b) { return a.x < b.x; });
  const std::size_t kept = std::min(samples.size(), std::max<std::size_t>(3, (samples.size() + 1) / 2));
  samples.erase(samples.begin(), samples.end() - std::ptrdiff_t(kept));
  return samples;
}

}  // namespace dlcuda

#include "dlcuda/train/power_law.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "dlcuda/core/error.h"

namespace dlcuda::testing {
namespace {

TEST(PowerLaw, FindsTheExponentOfExactValues) {
  std::vector<Sample> samples;
  for (const double x : {1.0, 2.0, 5.0, 70.0}) samples.push_back({x, 3 * std::pow(x, 1.5)});
  const PowerLaw law = fit_power_law(samples);
  EXPECT_NEAR(law.exponent, 1.5, 1e-12);
  EXPECT_NEAR(law.factor, 3, 1e-12);
  EXPECT_NEAR(law.error, 0, 1e-7);
  EXPECT_NEAR(law.r_squared, 1, 1e-12);
  EXPECT_EQ(law.samples, 4u);
}

// In units of log 2: x = 0, 1, 2 and y = 0, 2, 1. Slope 1/2; residuals -1/2, 1, -1/2, so their squares sum to
// 3/2 of the 2 that there are; error sqrt(3/2 / 1 / 2).
TEST(PowerLaw, ErrorAndExplainedShareByHand) {
  const PowerLaw law = fit_power_law({{1, 1}, {2, 4}, {4, 2}});
  EXPECT_NEAR(law.exponent, 0.5, 1e-12);
  EXPECT_NEAR(law.error, std::sqrt(0.75), 1e-12);
  EXPECT_NEAR(law.r_squared, 0.25, 1e-12);
}

TEST(PowerLaw, AConstantHasExponentZero) {
  const PowerLaw law = fit_power_law({{1, 7}, {10, 7}});
  EXPECT_EQ(law.exponent, 0);
  EXPECT_EQ(law.error, 0);
  EXPECT_EQ(law.r_squared, 1);
  EXPECT_NEAR(law.factor, 7, 1e-12);
}

TEST(PowerLaw, RefusesWhatHasNoExponent) {
  EXPECT_THROW(fit_power_law({}), ArgumentError);
  EXPECT_THROW(fit_power_law({{1, 1}}), ArgumentError);
  EXPECT_THROW(fit_power_law({{2, 1}, {2, 3}}), ArgumentError);
  EXPECT_THROW(fit_power_law({{0, 1}, {2, 3}}), ArgumentError);
  EXPECT_THROW(fit_power_law({{1, 1}, {2, -3}}), ArgumentError);
  EXPECT_THROW(fit_power_law({{1, 1}, {std::numeric_limits<double>::infinity(), 3}}), ArgumentError);
  EXPECT_THROW(fit_power_law({{1, 1}, {2, std::nan("")}}), ArgumentError);
}

TEST(PowerLaw, TheLargerHalfIsByX) {
  const auto xs = [](const std::vector<Sample>& samples) {
    std::vector<double> all;
    for (const Sample& sample : larger_half(samples)) all.push_back(sample.x);
    return all;
  };
  EXPECT_EQ(xs({{8, 1}, {1, 1}, {2, 1}, {4, 1}, {16, 1}, {32, 1}, {64, 1}, {3, 1}}),
            (std::vector<double>{8, 16, 32, 64}));
  EXPECT_EQ(xs({{5, 1}, {4, 1}, {3, 1}, {2, 1}, {1, 1}}), (std::vector<double>{3, 4, 5}));
  EXPECT_EQ(xs({{2, 1}, {1, 1}}), (std::vector<double>{1, 2}));
  EXPECT_EQ(xs({}), std::vector<double>{});
}

}  // namespace
}  // namespace dlcuda::testing

#include "dlcuda/kernels/functors/math.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace dlcuda::testing {
namespace {

/// Distance in units in the last place of the exact result.
double ulps(float got, double exact) {
  const float rounded = static_cast<float>(exact);
  const double unit = std::abs(double(std::nextafterf(rounded, HUGE_VALF)) - double(rounded));
  return std::abs(double(got) - exact) / unit;
}

TEST(Math, ExpIsWithinThreeUlps) {
  double worst = 0;
  for (int i = -870000; i <= 887000; ++i) {
    const float x = float(i) * 1e-4f;
    if (std::exp(double(x)) < 0x1p-126) continue;
    worst = std::max(worst, ulps(functors::exp(x), std::exp(double(x))));
  }
  EXPECT_LT(worst, 3);
}

TEST(Math, ExpAtItsEnds) {
  constexpr float kInf = std::numeric_limits<float>::infinity();
  EXPECT_EQ(functors::exp(0.0f), 1.0f);
  EXPECT_EQ(functors::exp(-kInf), 0.0f);
  EXPECT_EQ(functors::exp(-200.0f), 0.0f);
  EXPECT_EQ(functors::exp(kInf), kInf);
  EXPECT_EQ(functors::exp(89.0f), kInf);
  EXPECT_TRUE(std::isfinite(functors::exp(88.7f)));
  EXPECT_TRUE(std::isnan(functors::exp(std::numeric_limits<float>::quiet_NaN())));
}

TEST(Math, TanhIsWithinThreeUlps) {
  double worst = 0;
  for (int i = -1200000; i <= 1200000; ++i) {
    const float x = float(i) * 1e-5f;
    worst = std::max(worst, x == 0 ? 0.0 : ulps(functors::tanh(x), std::tanh(double(x))));
  }
  for (float x = 1e-30f; x < 1e-3f; x *= 1.7f)
    worst = std::max(worst, ulps(functors::tanh(x), std::tanh(double(x))));
  EXPECT_LT(worst, 3);
  EXPECT_EQ(functors::tanh(HUGE_VALF), 1.0f);
  EXPECT_EQ(functors::tanh(-HUGE_VALF), -1.0f);
  EXPECT_TRUE(std::signbit(functors::tanh(-0.0f)));
  EXPECT_TRUE(std::isnan(functors::tanh(std::numeric_limits<float>::quiet_NaN())));
}

}  // namespace
}  // namespace dlcuda::testing

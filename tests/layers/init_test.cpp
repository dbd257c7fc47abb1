#include "dlcuda/layers/init.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "dlcuda/core/error.h"
#include "dlcuda/kernels/random.h"

namespace dlcuda {
namespace {

using init::Scheme;

struct Statistics {
  double mean = 0, deviation = 0, largest = 0;
};

Statistics statistics(const Tensor& x) {
  Statistics result;
  double squares = 0;
  const auto values = x.values<float>();
  for (const float value : values) {
    result.mean += value;
    squares += double(value) * value;
    result.largest = std::max(result.largest, std::abs(double(value)));
  }
  result.mean /= double(values.size());
  result.deviation = std::sqrt(squares / double(values.size()) - result.mean * result.mean);
  return result;
}

TEST(Init, Fans) {
  EXPECT_EQ(init::fans({6, 3, 5, 4}).in, 60);
  EXPECT_EQ(init::fans({6, 3, 5, 4}).out, 120);
  EXPECT_EQ(init::fans({10, 7}).in, 7);
  EXPECT_EQ(init::fans({10, 7}).out, 10);
  EXPECT_THROW(init::fans({5}), ShapeError);
  EXPECT_THROW(init::weight({5}, Scheme::HeNormal), ShapeError);
}

TEST(Init, DeviationsAndBounds) {
  kernels::manual_seed(1);
  const Shape shape{64, 32, 3, 3};
  const double in = 32 * 9, out = 64 * 9, count = double(shape.numel());
  struct Case {
    Scheme scheme;
    double deviation;
    bool uniform;
  };
  for (const Case& c : {Case{Scheme::Default, std::sqrt(1 / in / 3), true},
                        {Scheme::HeNormal, std::sqrt(2 / in), false},
                        {Scheme::HeUniform, std::sqrt(2 / in), true},
                        {Scheme::XavierNormal, std::sqrt(2 / (in + out)), false},
                        {Scheme::XavierUniform, std::sqrt(2 / (in + out)), true},
                        {Scheme::LeCunNormal, std::sqrt(1 / in), false},
                        {Scheme::LeCunUniform, std::sqrt(1 / in), true},
                        {Scheme::HeNormalFanOut, std::sqrt(2 / out), false},
                        {Scheme::SmallNormal, 0.01, false},
                        {Scheme::UniformFanOut, std::sqrt(1 / out / 3), true}}) {
    SCOPED_TRACE(int(c.scheme));
    const Statistics s = statistics(init::weight(shape, c.scheme));
    // Five deviations of the estimates.
    EXPECT_NEAR(s.mean, 0, 5 * c.deviation / std::sqrt(count));
    EXPECT_NEAR(s.deviation, c.deviation, 5 * c.deviation / std::sqrt(2 * count));
    const double bound = c.deviation * std::sqrt(3.0);
    if (c.uniform) {
      EXPECT_LE(s.largest, bound * (1 + 1e-6));
      EXPECT_GT(s.largest, bound * 0.99);
    } else {
      EXPECT_GT(s.largest, 3 * c.deviation);
      EXPECT_LT(s.largest, 6.5 * c.deviation);
    }
  }
}

TEST(Init, Bias) {
  EXPECT_EQ(init::bias(4, 9, Scheme::HeNormal).values<float>(), std::vector<float>(4, 0.0f));
  const Statistics s = statistics(init::bias(1000, 4, Scheme::Default));
  EXPECT_LE(s.largest, 0.5);
  EXPECT_GT(s.largest, 0.45);
}

TEST(Init, RepeatsExactlyBySeed) {
  const auto draw = [](std::uint64_t seed) {
    kernels::manual_seed(seed);
    std::vector<float> all;
    for (const Scheme scheme : {Scheme::Default, Scheme::HeNormal}) {
      const auto values = init::weight({7, 5, 3, 3}, scheme).values<float>();
      all.insert(all.end(), values.begin(), values.end());
    }
    return all;
  };
  EXPECT_EQ(draw(5), draw(5));
  EXPECT_NE(draw(5), draw(6));
}

TEST(Init, EachCallDrawsOtherNumbers) {
  kernels::manual_seed(1);
  EXPECT_NE(init::weight({3, 3}, Scheme::Default).values<float>(),
            init::weight({3, 3}, Scheme::Default).values<float>());
}

TEST(Init, UninitializedWeightsTakeTheirTurn) {
  const auto second = [](bool draw_first) {
    kernels::manual_seed(3);
    {
      std::optional<init::Uninitialized> scope;
      if (!draw_first) scope.emplace();
      (void)init::weight({50, 40}, Scheme::HeNormal);
    }
    return init::weight({5, 4}, Scheme::Default).values<float>();
  };
  EXPECT_EQ(second(true), second(false));
  const init::Uninitialized outer;
  { const init::Uninitialized inner; }
  EXPECT_EQ(init::weight({3, 2}, Scheme::SmallNormal).shape(), (Shape{3, 2}));
  EXPECT_EQ(init::bias(3, 2, Scheme::Default).shape(), Shape{3});
}

TEST(Init, EmptyWeights) {
  EXPECT_EQ(init::weight({0, 3}, Scheme::HeNormal).numel(), 0);
  EXPECT_EQ(init::weight({3, 0}, Scheme::Default).numel(), 0);
}

}  // namespace
}  // namespace dlcuda

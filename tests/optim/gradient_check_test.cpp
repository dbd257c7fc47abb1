// The checker itself: it must find what is wrong, and where.
#include "dlcuda/optim/gradient_check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "dlcuda/core/autograd.h"
#include "dlcuda/core/error.h"
#include "dlcuda/layers/functional.h"
#include "dlcuda/tests/support/random_tensor.h"

namespace dlcuda {
namespace {

namespace F = functional;
using Inputs = std::vector<Tensor>;
using testing::ElementsAre;
using testing::HasSubstr;

/// x * 2, with a gradient that is 2 except at one place.
Tensor doubled_with_a_mistake(const Tensor& x, std::int64_t at, double mistake) {
  const Tensor y = F::scale(x.detach(), 2);
  return autograd::record("mistaken", y, {x}, [at, mistake](const autograd::BackwardContext& context) {
    const Tensor dx = F::scale(context.grad, 2);
    dx.data<double>()[at] += mistake;
    return std::vector{dx};
  });
}

TEST(GradientCheck, AcceptsARightGradient) {
  const auto check = check_gradients([](const Inputs& in) { return F::multiply(in[0], in[1]); },
                                     {random_tensor({2, 3}, 0), random_tensor({2, 3}, 1)});
  EXPECT_TRUE(check) << check.describe();
  EXPECT_LT(check.largest_error, 1e-7);
}

TEST(GradientCheck, FindsTheWrongElement) {
  const auto check =
      check_gradients([](const Inputs& in) { return F::add(in[0], doubled_with_a_mistake(in[1], 4, 1e-3)); },
                      {random_tensor({2, 3}, 0), random_tensor({2, 3}, 1)});
  EXPECT_FALSE(check);
  EXPECT_EQ(check.input, 1);
  EXPECT_THAT(check.index, ElementsAre(1, 1));
  EXPECT_NEAR(check.largest_error, 1e-3, 1e-6);
  EXPECT_NEAR(check.analytic - check.numeric, 1e-3, 1e-6);
  EXPECT_THAT(check.describe(), HasSubstr("input 1 at [1, 1]"));
}

TEST(GradientCheck, IndexIsLogicalInChannelsLast) {
  // Physical element 1 of (1, 2, 2, 2) in channels-last is channel 1 of the first pixel.
  const Tensor x = kernels::to_format(random_tensor({1, 2, 2, 2}, 0), MemoryFormat::ChannelsLast);
  const auto check =
      check_gradients([](const Inputs& in) { return doubled_with_a_mistake(in[0], 1, 0.5); }, {x});
  EXPECT_FALSE(check);
  EXPECT_THAT(check.index, ElementsAre(0, 1, 0, 0));
}

TEST(GradientCheck, NaNAndMissingGradientsFail) {
  const auto nan = check_gradients([](const Inputs& in) { return doubled_with_a_mistake(in[0], 2, NAN); },
                                   {random_tensor({3}, 0)});
  EXPECT_FALSE(nan);
  EXPECT_THAT(nan.index, ElementsAre(2));
  const auto missing =
      check_gradients([](const Inputs& in) { return F::scale(in[0].detach(), 2); }, {random_tensor({3}, 0)});
  EXPECT_FALSE(missing);
  EXPECT_EQ(missing.analytic, 0);
}

TEST(GradientCheck, LeavesInputsAlone) {
  const Tensor x = random_tensor({3}, 0);
  const auto before = x.values<double>();
  check_gradients([](const Inputs& in) { return F::tanh(in[0]); }, {x});
  EXPECT_EQ(x.values<double>(), before);
  EXPECT_FALSE(x.requires_grad());
}

TEST(GradientCheck, RefusesWhatItCannotCheck) {
  const auto identity = [](const Inputs& in) { return in[0]; };
  EXPECT_THROW(check_gradients(identity, {Tensor::zeros({1})}), ArgumentError);
  EXPECT_THROW(check_gradients(identity, {}), ArgumentError);
  EXPECT_THROW(check_gradients(identity, {random_tensor({1}, 0)}, {.epsilon = 0}), ArgumentError);
  EXPECT_THROW(
      check_gradients([](const Inputs& in) { return F::cast(in[0], DType::F32); }, {random_tensor({1}, 0)}),
      DTypeError);
}

}  // namespace
}  // namespace dlcuda

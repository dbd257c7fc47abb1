// What backward() promises, seen through the functions that record themselves.
#include "dlcuda/core/autograd.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "dlcuda/core/error.h"
#include "dlcuda/core/memory/caching_allocator.h"
#include "dlcuda/kernels/arithmetic.h"
#include "dlcuda/layers/functional.h"
#include "dlcuda/tests/support/errors.h"
#include "dlcuda/tests/support/random_tensor.h"

namespace dlcuda {
namespace {

namespace F = functional;
using testing::ElementsAre;
using testing::HasSubstr;

Tensor leaf(std::initializer_list<double> values) {
  Tensor x = Tensor::from_values<double>(values, {std::int64_t(values.size())});
  x.set_requires_grad();
  return x;
}

Tensor sum(const Tensor& x) { return F::reduce(x, F::Reduction::Sum); }

TEST(Autograd, OverwriteReplacesAndAccumulateAdds) {
  const Tensor x = leaf({1, 2});
  sum(F::scale(x, 3)).backward();
  EXPECT_THAT(x.grad().values<double>(), ElementsAre(3, 3));
  sum(F::scale(x, 5)).backward();
  EXPECT_THAT(x.grad().values<double>(), ElementsAre(5, 5));
  sum(F::multiply(x, x)).backward(GradientMode::Accumulate);
  EXPECT_THAT(x.grad().values<double>(), ElementsAre(7, 9));
  sum(x).backward();
  EXPECT_THAT(x.grad().values<double>(), ElementsAre(1, 1));
}

TEST(Autograd, ATensorUsedTwiceGetsTheSum) {
  const Tensor x = leaf({2, 3});
  sum(F::add(F::scale(x, 10), F::multiply(x, x))).backward();
  EXPECT_THAT(x.grad().values<double>(), ElementsAre(14, 16));
  sum(F::add(x, x)).backward();
  EXPECT_THAT(x.grad().values<double>(), ElementsAre(2, 2));
}

TEST(Autograd, DiamondsRunEachNodeOnce) {
  const Tensor x = leaf({1});
  Tensor y = x;
  // 2^60 paths: a walk that followed each of them would not come back.
  for (int i = 0; i < 60; ++i) y = F::add(F::scale(y, 0.5), F::scale(y, 0.5));
  sum(y).backward();
  EXPECT_THAT(x.grad().values<double>(), ElementsAre(1));
}

TEST(Autograd, ALateNodeWaitsForAnEarlyBranch) {
  const Tensor x = leaf({3});
  const Tensor early = F::scale(x, 2);
  Tensor late = early;
  for (int i = 0; i < 5; ++i) late = F::scale(late, 2);
  sum(F::multiply(early, late)).backward();  // 128 x^2
  EXPECT_THAT(x.grad().values<double>(), ElementsAre(128 * 2 * 3));
}

TEST(Autograd, DeepChainsDoNotRecurse) {
  const auto chain = [](Tensor y) {
    for (int i = 0; i < 100'000; ++i) y = F::scale(y, 1);
    return y;
  };
  const Tensor x = leaf({1});
  sum(chain(x)).backward();
  EXPECT_THAT(x.grad().values<double>(), ElementsAre(1));
  chain(x);  // and is taken apart without a backward pass
}

TEST(Autograd, TheGraphIsFreedAsItGoes) {
  const Tensor x = leaf({1, 2});
  const Tensor square = F::multiply(x, x);
  const Tensor loss = sum(square);
  loss.backward();
  EXPECT_THAT(message_of<Error>([&] { loss.backward(); }), HasSubstr("compute the loss again"));
  EXPECT_THAT(message_of<Error>([&] { sum(F::scale(square, 2)).backward(); }),
              AllOf(HasSubstr("multiply"), HasSubstr("freed by an earlier backward()")));
}

TEST(Autograd, TheOldGradientGoesBeforeTheNewOneComes) {
  CachingAllocator& allocator = allocator_for(Device::cpu());
  Tensor x = Tensor::zeros({12'345});
  x.set_requires_grad();
  sum(F::scale(x, 3)).backward();
  const auto old = reinterpret_cast<std::uintptr_t>(x.grad().data<float>());
  const Tensor loss = sum(F::scale(x, 5));
  allocator.start_trace();
  loss.backward();
  const MemoryTrace trace = allocator.stop_trace();
  std::size_t freed = 0, made = 0;
  for (std::size_t i = 0; i < trace.events.size(); ++i) {
    const MemoryEvent& event = trace.events[i];
    if (event.kind == MemoryEvent::Kind::Free && event.address == old && freed == 0) freed = i;
    if (event.kind == MemoryEvent::Kind::Allocate && event.requested == 12'345 * sizeof(float)) made = i;
  }
  EXPECT_GT(freed, 0u);
  EXPECT_LT(freed, made);
  EXPECT_EQ(x.grad().values<float>()[0], 5);
}

TEST(Autograd, WhatWasSavedMustNotChange) {
  const Tensor x = leaf({1, 2});
  Tensor y = F::sigmoid(x);
  const Tensor loss = sum(y);
  y.zero();
  EXPECT_THAT(message_of<Error>([&] { loss.backward(); }),
              HasSubstr("changed in place after the forward pass"));

  Tensor weight = Tensor::from_values<double>({1, 2}, {1, 2});
  Tensor input = Tensor::from_values<double>({1, 2}, {1, 2});
  input.set_requires_grad();
  const Tensor out = sum(F::linear(input, weight));
  kernels::fill(weight, 5);
  EXPECT_THAT(message_of<Error>([&] { out.backward(); }),
              HasSubstr("changed in place after the forward pass"));
}

TEST(Autograd, WhatIsNotNeededIsNotSaved) {
  // Without a gradient for x, the weight is not part of the backward pass, and may change.
  const Tensor x = Tensor::from_values<double>({1, 2}, {1, 2});
  Tensor weight = Tensor::from_values<double>({3, 4}, {1, 2});
  weight.set_requires_grad();
  const Tensor loss = sum(F::linear(x, weight));
  weight.zero();
  loss.backward();
  EXPECT_THAT(weight.grad().values<double>(), ElementsAre(1, 2));

  Tensor factor = leaf({1});
  const Tensor scaled = sum(F::scale(factor, 4));
  factor.zero();
  scaled.backward();
  EXPECT_THAT(factor.grad().values<double>(), ElementsAre(4));
}

TEST(Autograd, TheDropoutMaskCannotBeDrawnAgainAfterAdvanceStep) {
  kernels::Generator generator(1, RandomDomain::Dropout, Device::cpu());
  const Tensor loss = sum(F::dropout(leaf({1, 2}), 0.5, true, generator));
  generator.advance_step();
  EXPECT_THAT(message_of<Error>([&] { loss.backward(); }), HasSubstr("changed in place"));
}

TEST(Autograd, NoGradRecordsNothing) {
  const Tensor x = leaf({1, 2});
  {
    const autograd::NoGrad no_grad;
    EXPECT_FALSE(F::tanh(x).requires_grad());
    EXPECT_FALSE(autograd::any_requires_grad({x}));
  }
  EXPECT_TRUE(F::tanh(x).requires_grad());
  EXPECT_FALSE(F::tanh(x.detach()).requires_grad());
  EXPECT_THAT(message_of<Error>([&] { sum(x.detach()).backward(); }), HasSubstr("NoGrad"));
}

TEST(Autograd, NothingOfTheGraphOutlivesAForwardPassWithoutGradients) {
  const Tensor x = random_tensor({2, 3}, 0);
  const Tensor y = F::tanh(x);
  EXPECT_FALSE(y.requires_grad());
  EXPECT_TRUE(y.unique());
}

TEST(Autograd, BackwardNeedsAScalar) {
  const Tensor x = leaf({1, 2});
  EXPECT_THAT(message_of<Error>([&] { F::scale(x, 2).backward(); }),
              HasSubstr("expected a scalar, got shape [2]"));
}

TEST(Autograd, OnlyReachedLeavesGetAGradient) {
  const Tensor a = leaf({1}), b = leaf({2});
  sum(F::scale(a, 2)).backward();
  EXPECT_TRUE(a.grad().defined());
  EXPECT_FALSE(b.grad().defined());
  EXPECT_EQ(b.grad_stamp(), 0u);
  const auto before = a.grad_stamp();
  sum(F::scale(b, 2)).backward();
  EXPECT_EQ(a.grad_stamp(), before);
  EXPECT_GT(b.grad_stamp(), before);
}

TEST(Autograd, CastsCarryTheGradientBack) {
  const Tensor x = leaf({1, 2});
  const Tensor low = F::cast(x, DType::F32);
  EXPECT_EQ(low.dtype(), DType::F32);
  sum(F::scale(low, 3)).backward();
  EXPECT_EQ(x.grad().dtype(), DType::F64);
  EXPECT_THAT(x.grad().values<double>(), ElementsAre(3, 3));
  EXPECT_FALSE(F::cast(x, DType::I64).requires_grad());
}

}  // namespace
}  // namespace dlcuda

#include "dlcuda/optim/optimizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "dlcuda/core/autograd.h"
#include "dlcuda/core/error.h"
#include "dlcuda/core/memory/caching_allocator.h"
#include "dlcuda/kernels/copy.h"
#include "dlcuda/layers/functional.h"
#include "dlcuda/layers/layers.h"
#include "dlcuda/tests/support/devices.h"
#include "dlcuda/tests/support/errors.h"

namespace dlcuda {
namespace {

namespace F = functional;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

Tensor parameter(std::initializer_list<float> values) {
  Tensor x = Tensor::from_values<float>(values, {std::int64_t(values.size())});
  x.set_requires_grad();
  return x;
}

Tensor sum(const Tensor& x) { return F::reduce(x, F::Reduction::Sum); }

TEST(Optimizer, StaleGradientsAreSkipped) {
  const Tensor a = parameter({1}), b = parameter({1});
  Sgd sgd({{"a", a}, {"b", b}}, 0.5, {.momentum = 0.5});
  EXPECT_THROW(sgd.step(), Error);  // no gradient yet
  EXPECT_THAT(a.values<float>(), ElementsAre(1));

  sum(F::add(a, b)).backward();
  sgd.step();
  EXPECT_THAT(a.values<float>(), ElementsAre(0.5f));
  EXPECT_THAT(b.values<float>(), ElementsAre(0.5f));

  EXPECT_THROW(sgd.step(), Error);  // nothing new, and momentum alone does not move on
  EXPECT_THAT(a.values<float>(), ElementsAre(0.5f));

  sum(a).backward();  // b keeps the gradient of two steps ago
  sgd.step();
  EXPECT_THAT(a.values<float>(), ElementsAre(0.5f - 0.5f * 1.5f));
  EXPECT_THAT(b.values<float>(), ElementsAre(0.5f));
}

TEST(Optimizer, AccumulationBeginsAnewAfterAStep) {
  const Tensor a = parameter({1});
  Sgd sgd({{"a", a}}, 0.25);
  for (const float expected : {0.5f, 0.0f}) {
    sum(a).backward(GradientMode::Accumulate);
    sum(a).backward(GradientMode::Accumulate);
    EXPECT_THAT(a.grad().values<float>(), ElementsAre(2));
    sgd.step();
    EXPECT_THAT(a.values<float>(), ElementsAre(expected));
  }
}

// As in a GAN: the generator's loss runs through the discriminator, whose gradients of that pass must not be
// used by the discriminator's next step.
TEST(Optimizer, TwoOptimizersTakeTurns) {
  const Tensor generator = parameter({2}), discriminator = parameter({3});
  Sgd of_generator({{"g", generator}}, 1), of_discriminator({{"d", discriminator}}, 1);
  for (int round = 0; round < 2; ++round) {
    const float g = generator.item<float>(), d = discriminator.item<float>();
    sum(F::scale(F::multiply(generator.detach(), discriminator), 0.125)).backward();
    of_discriminator.step();
    EXPECT_FLOAT_EQ(discriminator.item<float>(), d - 0.125f * g);
    EXPECT_FLOAT_EQ(generator.item<float>(), g);

    const float d_after = discriminator.item<float>();
    sum(F::multiply(generator, discriminator)).backward();
    EXPECT_FLOAT_EQ(discriminator.grad().item<float>(), g);  // written, but never used
    of_generator.step();
    EXPECT_FLOAT_EQ(generator.item<float>(), g - d_after);
    EXPECT_FLOAT_EQ(discriminator.item<float>(), d_after);
  }
}

TEST(Optimizer, MicroBatchesAddUp) {
  const Tensor a = parameter({1});
  Sgd sgd({{"a", a}}, 0.25);
  sum(a).backward();
  sum(F::scale(a, 2)).backward(GradientMode::Accumulate);
  sgd.step();
  EXPECT_THAT(a.values<float>(), ElementsAre(0.25f));
}

TEST(Optimizer, AnUpdateCountsAsAChangeInPlace) {
  const Tensor a = parameter({2}), untouched = parameter({2});
  Sgd sgd({{"a", a}, {"untouched", untouched}}, 0.5);
  const Tensor loss = sum(F::multiply(a, a));
  sum(a).backward();
  const auto version = untouched.version();
  sgd.step();
  EXPECT_THAT(message_of<Error>([&] { loss.backward(); }), HasSubstr("changed in place"));
  EXPECT_EQ(untouched.version(), version);
}

TEST(Optimizer, LearningRateOfTheNextStep) {
  const Tensor a = parameter({1});
  Sgd sgd({{"a", a}}, 0.5);
  sgd.set_learning_rate(0.125);
  EXPECT_EQ(sgd.learning_rate(), 0.125);
  sum(a).backward();
  sgd.step();
  EXPECT_THAT(a.values<float>(), ElementsAre(0.875f));
  sgd.set_learning_rate(0);
  sum(a).backward();
  sgd.step();
  EXPECT_THAT(a.values<float>(), ElementsAre(0.875f));
  EXPECT_THAT(message_of<ArgumentError>([&] { sgd.set_learning_rate(-1); }),
              HasSubstr("finite and not negative, got -1"));
  EXPECT_THAT(message_of<ArgumentError>([&] { sgd.set_learning_rate(NAN); }), HasSubstr("nan"));
}

TEST(Optimizer, LearningRateFromTheDeviceForOneStep) {
  const Tensor a = parameter({1});
  Sgd sgd({{"a", a}}, 0.5);
  LossScale none;
  const Tensor rates = Tensor::from_values<float>({0.125f, 0.25f}, {2});
  const auto value_after = [&](const auto& step) {
    sum(a).backward();
    step();
    return a.item<float>();
  };
  EXPECT_EQ(value_after([&] { sgd.step(none, rates.slice(1, 2)); }), 0.75f);
  EXPECT_EQ(value_after([&] { sgd.step(); }), 0.25f);
  const auto message = [&](const Tensor& rate) { return message_of<Error>([&] { sgd.step(none, rate); }); };
  EXPECT_THAT(message(rates), HasSubstr("one element, got [2]"));
  EXPECT_THAT(message({}), HasSubstr("undefined"));
  EXPECT_THAT(message(Tensor::scalar(0.5)), HasSubstr("must be f32, got f64"));
  EXPECT_EQ(value_after([&] { sgd.step(); }), -0.25f) << "a refused rate is not kept";
}

TEST(Optimizer, AGradientInAnotherFormatIsConverted) {
  Tensor weight = Tensor::from_values<float>({1, 2, 3, 4, 5, 6, 7, 8}, {1, 2, 2, 2});
  weight.set_requires_grad();
  const Tensor gradient = kernels::to_format(
      Tensor::from_values<float>({1, 2, 3, 4, 5, 6, 7, 8}, {1, 2, 2, 2}), MemoryFormat::ChannelsLast);
  // A function of somebody else, whose gradient lies as its backward pass found it convenient.
  autograd::record("custom", Tensor::scalar(1.0f), {weight}, [&](const autograd::BackwardContext&) {
    return std::vector{gradient};
  }).backward();
  ASSERT_EQ(weight.grad().format(), MemoryFormat::ChannelsLast);
  Sgd({{"weight", weight}}, 1).step();
  EXPECT_EQ(weight.values<float>(), std::vector<float>(8, 0.0f));
}

TEST(Optimizer, ParametersKeepTheirStorage) {
  Linear linear(3, 2);
  const Tensor weight = linear.parameters()[0].second;
  const void* const data = weight.data();
  Adam adam(linear.parameters());
  sum(linear(Tensor::zeros({1, 3}))).backward();
  adam.step();
  EXPECT_EQ(weight.data(), data);
  EXPECT_FALSE(weight.meta().node);
}

TEST(Optimizer, StepsAllocateNoTensors) {
  const Tensor a = parameter({1, 2});
  for (const char* name : {"sgd", "momentum", "adam"}) {
    const auto optimizer = make_optimizer(name, {{"a", a}}, 0.1);
    const auto blocks = [] { return allocator_for(Device::cpu()).stats().total.blocks.allocated; };
    sum(a).backward();
    const auto before = blocks();
    optimizer->step();
    optimizer->set_learning_rate(0.2);
    EXPECT_EQ(blocks(), before) << name;
    sum(a).backward();
    EXPECT_GT(blocks(), before) << "allocations are not counted";
  }
}

TEST(Optimizer, RefusesWhatItCannotUpdate) {
  const Tensor a = parameter({1, 2});
  EXPECT_THAT(message_of<ArgumentError>([] { Sgd({}, 1); }), HasSubstr("no parameters"));
  EXPECT_THAT(message_of<ArgumentError>([&] {
                Sgd({{"a", a}, {"again", a}}, 1);
              }),
              HasSubstr("a and again are the same tensor"));
  EXPECT_THAT(message_of<ArgumentError>([&] {
                Sgd({{"a", Tensor()}}, 1);
              }),
              HasSubstr("parameter a is undefined"));
  EXPECT_THAT(message_of<ArgumentError>([&] {
                Sgd({{"y", F::scale(a, 2)}}, 1);
              }),
              HasSubstr("result of an operation"));
  for (const double lr : {0.0, -0.1, double(NAN), double(INFINITY)}) {
    EXPECT_THAT(message_of<ArgumentError>([&] { Sgd({{"a", a}}, lr); }), HasSubstr("learning rate must be"));
  }
  EXPECT_THAT(message_of<DTypeError>([] {
                Sgd({{"h", Tensor::zeros({1}, DType::I32)}}, 1);
              }),
              HasSubstr("parameter h must be f32, bf16 or f16"));
  EXPECT_THAT(message_of<ShapeError>([] {
                Sgd({{"s", Tensor::zeros({2, 3, 2, 2}).channel_slice(0, 2)}}, 1);
              }),
              HasSubstr("slice"));
  EXPECT_THAT(message_of<ArgumentError>([&] {
                Sgd({{"a", a}}, 1, {.momentum = -1});
              }),
              HasSubstr("momentum"));
  EXPECT_THAT(message_of<ArgumentError>([&] {
                Sgd({{"a", a}}, 1, {.weight_decay = -1});
              }),
              HasSubstr("weight_decay"));
  EXPECT_THAT(message_of<ArgumentError>([&] {
                Sgd({{"a", a}}, 1, {.nesterov = true});
              }),
              HasSubstr("Nesterov"));
  EXPECT_THAT(message_of<ArgumentError>([&] {
                Adam({{"a", a}}, 1, {.beta2 = 1});
              }),
              HasSubstr("betas must be in [0, 1)"));
  EXPECT_THAT(message_of<ArgumentError>([&] { Adam({{"a", a}}, 1, {.epsilon = 0}); }), HasSubstr("epsilon"));
}

// Steps too small for bf16 add up in the master weights.
TEST(Optimizer, LowPrecisionParametersHaveMasterWeights) {
  for (const Device device : testing::test_devices()) {
    Tensor w = kernels::cast(Tensor::from_values<float>({1, -1}, {2}, device), DType::BF16);
    w.set_requires_grad();
    Sgd optimizer({{"w", w}}, 0x1p-10);
    for (int step = 1; step <= 16; ++step) {
      F::cast(sum(w), DType::F32).backward();
      optimizer.step();
      EXPECT_EQ(w.grad().dtype(), DType::BF16);
      // bf16 has steps of 2^-8 below 1, and of 2^-7 above.
      const float expected = 1 - float(step) * 0x1p-10f;
      const auto got = kernels::cast(w.detach(), DType::F32).values<float>();
      EXPECT_NEAR(got[0], expected, 0x1p-9f) << step;
    }
    EXPECT_EQ(kernels::cast(w.detach(), DType::F32).values<float>()[0], 1 - 0x1p-6f);
  }
}

TEST(Optimizer, Names) {
  const NamedTensors parameters{{"a", parameter({1})}};
  EXPECT_EQ(make_optimizer("sgd", parameters, 0.1)->describe(), "SGD(lr 0.1)");
  EXPECT_EQ(make_optimizer("momentum", parameters, 0.1)->describe(), "SGD(lr 0.1, momentum 0.9)");
  EXPECT_EQ(make_optimizer("nesterov", parameters, 0.1)->describe(), "SGD(lr 0.1, momentum 0.9, nesterov)");
  EXPECT_EQ(make_optimizer("adam", parameters, 0.001)->describe(), "Adam(lr 0.001)");
  EXPECT_EQ(make_optimizer("rmsprop", parameters, 0.01)->describe(), "RMSprop(lr 0.01)");
  EXPECT_EQ(make_optimizer("adamw", parameters, 0.001)->describe(), "AdamW(lr 0.001, weight decay 0.01)");
  EXPECT_THAT(message_of<ArgumentError>([&] { make_optimizer("adan", parameters, 0.1); }),
              AllOf(HasSubstr("'adan'"), HasSubstr("sgd, momentum, nesterov, rmsprop, adam, adamw"),
                    HasSubstr("did you mean 'adam'?")));
}

}  // namespace
}  // namespace dlcuda

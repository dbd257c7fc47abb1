#include "dlcuda/core/philox.h"

#include <gtest/gtest.h>

#include <cmath>

#include "dlcuda/core/error.h"
#include "dlcuda/kernels/random.h"
#include "dlcuda/tests/support/compare.h"

namespace dlcuda::testing {
namespace {

void expect_words(const Philox4& got, std::uint32_t a, std::uint32_t b, std::uint32_t c, std::uint32_t d) {
  EXPECT_EQ(got.value[0], a);
  EXPECT_EQ(got.value[1], b);
  EXPECT_EQ(got.value[2], c);
  EXPECT_EQ(got.value[3], d);
}

TEST(Philox, KnownAnswers) {
  // The known-answer tests that its authors publish with Random123.
  expect_words(philox4x32_10(0, 0, 0, 0), 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8);
  expect_words(philox4x32_10(~std::uint64_t{0}, ~std::uint64_t{0}, ~0u, ~0u), 0x408f276d, 0x41c83b0e,
               0xa20bc7c6, 0x6d5451fd);
  expect_words(philox4x32_10(0x299f31d0a4093822, 0x85a308d3243f6a88, 0x13198a2e, 0x03707344), 0xd16cfe09,
               0x94fdcceb, 0x5001e420, 0x24126ea1);
}

TEST(Random, UniformIsTheSameOnEveryDevice) {
  for (const Device device : test_devices()) {
    for (const std::int64_t count : {1, 4, 5, 1000, 40001}) {
      const auto draw = [&](Device on) {
        Tensor x = Tensor::empty(Shape{count}, DType::F32, on);
        kernels::fill_uniform(x, -2, 3, kernels::Generator(9, RandomDomain::InitialWeights, on).next_call());
        return x.values<float>();
      };
      const auto values = draw(device);
      EXPECT_EQ(values, draw(Device::cpu()));
      for (const float value : values) ASSERT_TRUE(value >= -2 && value < 3);
    }
  }
}

TEST(Random, NormalHasItsMoments) {
  constexpr std::int64_t kCount = 200000;
  Tensor x = Tensor::empty(Shape{kCount}, DType::F64);
  kernels::fill_normal(x, 1, 2,
                       kernels::Generator(3, RandomDomain::InitialWeights, Device::cpu()).next_call());
  double sum = 0, squares = 0, fourth = 0;
  for (const double value : x.values<double>()) {
    const double z = (value - 1) / 2;
    sum += z;
    squares += z * z;
    fourth += z * z * z * z;
  }
  // Five standard errors: 1 / sqrt(n), sqrt(2 / n), sqrt(96 / n).
  EXPECT_NEAR(sum / kCount, 0, 5 / std::sqrt(kCount));
  EXPECT_NEAR(squares / kCount, 1, 5 * std::sqrt(2.0 / kCount));
  EXPECT_NEAR(fourth / kCount, 3, 5 * std::sqrt(96.0 / kCount));
}

TEST(Random, SeedsRepeatAndDiffer) {
  const auto draw = [] {
    Tensor x = Tensor::empty(Shape{16});
    kernels::fill_uniform(x, 0, 1, kernels::weight_generator().next_call());
    return x.values<float>();
  };
  kernels::manual_seed(5);
  const auto first = draw(), second = draw();
  kernels::manual_seed(5);
  EXPECT_EQ(draw(), first);
  EXPECT_NE(first, second);
  kernels::manual_seed(6);
  EXPECT_NE(draw(), first);
}

TEST(Random, RefusesWhatDoesNotFit) {
  Tensor integers = Tensor::empty(Shape{4}, DType::I32), x = Tensor::empty(Shape{4});
  const auto call = kernels::Generator(1, RandomDomain::Dropout, Device::cpu()).next_call();
  EXPECT_THROW(kernels::fill_uniform(integers, 0, 1, call), DTypeError);
  EXPECT_THROW(kernels::fill_normal(x, 0, -1, call), ArgumentError);
  EXPECT_THROW(kernels::fill_uniform(x, 0, 1, {}), Error);
}

}  // namespace
}  // namespace dlcuda::testing

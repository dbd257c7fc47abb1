// Shapes, formats and messages of the differentiable functions; values are in reference_test.cpp.
#include "dlcuda/layers/functional.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "dlcuda/core/autograd.h"
#include "dlcuda/core/error.h"
#include "dlcuda/tests/support/random_tensor.h"

namespace dlcuda {
namespace {

namespace F = functional;
using testing::ElementsAre;
using testing::HasSubstr;

Tensor sum(const Tensor& x) { return F::reduce(F::flatten(x), F::Reduction::Sum); }

TEST(Functional, OutputsAndGradientsKeepTheFormatOfTheInput) {
  for (const MemoryFormat format : {MemoryFormat::Contiguous, MemoryFormat::ChannelsLast}) {
    Tensor x = kernels::to_format(random_tensor({2, 3, 6, 6}, 0), format);
    x.set_requires_grad();
    const Tensor weight = random_tensor({4, 3, 3, 3}, 1);
    for (const Tensor& y : {F::conv2d(x, weight), F::avg_pool2d(x), F::max_pool2d(x), F::tanh(x),
                            F::scale(x, 2), F::add(x, x), F::bias_add(x, random_tensor({3}, 2))}) {
      EXPECT_EQ(y.format(), format);
      sum(y).backward();
      EXPECT_EQ(x.grad().format(), format);
      EXPECT_TRUE(x.grad().is_dense());
    }
  }
}

/// The identity, as somebody else might write it: it hands on gradients in a format of its own.
Tensor with_gradients_in(MemoryFormat format, const Tensor& x) {
  return autograd::record("foreign", x.detach(), {x}, [format](const autograd::BackwardContext& context) {
    return std::vector{kernels::to_format(context.grad, format)};
  });
}

TEST(Functional, GradientsThatArriveInAnotherFormatAreConverted) {
  kernels::Generator generator(1, RandomDomain::Dropout, Device::cpu());
  const Tensor weight = random_tensor({4, 3, 3, 3}, 1), other = random_tensor({2, 3, 6, 6}, 2);
  const std::vector<std::function<Tensor(const Tensor&)>> functions{
      [&](const Tensor& x) { return F::conv2d(x, weight); },
      [](const Tensor& x) { return F::avg_pool2d(x); },
      [](const Tensor& x) { return F::max_pool2d(x); },
      [](const Tensor& x) { return F::tanh(x); },
      [](const Tensor& x) { return F::scale(x, 2); },
      [](const Tensor& x) { return F::add(x, F::scale(x, 3)); },
      [&](const Tensor& x) { return F::multiply(x, F::to_format(other, x.format())); },
      [](const Tensor& x) { return F::bias_add(x, random_tensor({3}, 3)); },
      [&](const Tensor& x) {
        generator.reseed(1);
        return F::dropout(x, 0.5, true, generator);
      },
  };
  for (const MemoryFormat format : {MemoryFormat::Contiguous, MemoryFormat::ChannelsLast}) {
    const MemoryFormat foreign =
        format == MemoryFormat::Contiguous ? MemoryFormat::ChannelsLast : MemoryFormat::Contiguous;
    Tensor x = kernels::to_format(random_tensor({2, 3, 6, 6}, 0), format);
    x.set_requires_grad();
    for (std::size_t i = 0; i < functions.size(); ++i) {
      SCOPED_TRACE("function " + std::to_string(i) + ", " + to_string(format));
      const auto loss = [&](const Tensor& y) {
        return sum(F::multiply(F::contiguous(y), random_tensor(y.shape(), 4)));
      };
      loss(functions[i](x)).backward();
      const auto expected = x.grad().values<double>();
      loss(with_gradients_in(foreign, functions[i](x))).backward();
      EXPECT_EQ(x.grad().format(), format);
      EXPECT_EQ(x.grad().values<double>(), expected);
    }
  }
}

TEST(Functional, FlattenIsInLogicalOrderWhateverTheFormat) {
  const Tensor x = random_tensor({2, 3, 2, 2}, 0);
  const Tensor flat = F::flatten(x);
  EXPECT_EQ(flat.shape(), (Shape{2, 12}));
  EXPECT_EQ(flat.data(), x.data());  // no copy
  const Tensor last = F::flatten(kernels::to_format(x, MemoryFormat::ChannelsLast));
  EXPECT_EQ(last.values<double>(), flat.values<double>());
  EXPECT_EQ(F::flatten(Tensor::zeros({0, 3, 2, 2})).shape(), (Shape{0, 12}));
  EXPECT_EQ(F::flatten(Tensor::zeros({2, 0, 2, 2})).shape(), (Shape{2, 0}));
  EXPECT_EQ(F::flatten(Tensor::zeros({4})).shape(), (Shape{4, 1}));
  EXPECT_THROW(F::flatten(Tensor::zeros({})), ShapeError);
}

TEST(Functional, FormatsThatLieAlikeAreNotCopied) {
  const Tensor one_channel = random_tensor({2, 1, 3, 3}, 0);
  const Tensor last = F::to_format(one_channel, MemoryFormat::ChannelsLast);
  EXPECT_EQ(last.format(), MemoryFormat::ChannelsLast);
  EXPECT_EQ(last.data(), one_channel.data());
  EXPECT_EQ(F::contiguous(one_channel).data(), one_channel.data());
}

TEST(Functional, DropoutOnlyInTraining) {
  kernels::Generator generator(1, RandomDomain::Dropout, Device::cpu());
  const Tensor x = random_tensor({1000}, 0, DType::F32, 1, 2);
  EXPECT_EQ(F::dropout(x, 0.5, false, generator).data(), x.data());
  EXPECT_EQ(F::dropout(x, 0, true, generator).data(), x.data());
  const auto dropped = F::dropout(x, 0.25, true, generator).values<float>(), values = x.values<float>();
  int zeros = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    zeros += dropped[i] == 0;
    if (dropped[i] != 0) {
      EXPECT_FLOAT_EQ(dropped[i], values[i] / 0.75f);
    }
  }
  EXPECT_NEAR(zeros, 250, 5 * 13.7);  // five deviations
  EXPECT_NE(F::dropout(x, 0.25, true, generator).values<float>(), dropped) << "another call, another mask";
  EXPECT_THROW(F::dropout(x, 1.5, true, generator), ArgumentError);
}

TEST(Functional, LinearSaysWhatItExpected) {
  const Tensor weight = Tensor::zeros({84, 120});
  try {
    F::linear(Tensor::zeros({64, 16, 5, 5}), weight);
    FAIL();
  } catch (const ShapeError& error) {
    EXPECT_THAT(error.what(), AllOf(HasSubstr("(N, 120)"), HasSubstr("[84, 120]"),
                                    HasSubstr("[64, 16, 5, 5]"), HasSubstr("flatten")));
  }
  EXPECT_THROW(F::linear(Tensor::zeros({64, 100}), weight), ShapeError);
  EXPECT_THROW(F::linear(Tensor::zeros({64, 120}), Tensor::zeros({120})), ShapeError);
}

TEST(Functional, EmptyBatches) {
  Tensor weight = Tensor::zeros({4, 3, 3, 3});
  weight.set_requires_grad();
  const Tensor y = F::conv2d(Tensor::zeros({0, 3, 5, 5}), weight);
  EXPECT_EQ(y.shape(), (Shape{0, 4, 3, 3}));
  sum(y).backward();
  EXPECT_EQ(weight.grad().values<float>(), std::vector<float>(108, 0.0f));
  Tensor matrix = Tensor::zeros({2, 3});
  matrix.set_requires_grad();
  sum(F::linear(Tensor::zeros({0, 3}), matrix)).backward();
  EXPECT_EQ(matrix.grad().values<float>(), std::vector<float>(6, 0.0f));
}

TEST(Functional, LabelsOutOfRangeAreNamedByTheKernel) {
  EXPECT_THROW(F::cross_entropy(Tensor::zeros({1, 3}), Tensor::from_values<std::int64_t>({3}, {1})),
               ArgumentError);
}

}  // namespace
}  // namespace dlcuda

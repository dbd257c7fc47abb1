// Every differentiable function: numeric against analytic gradients, in f64.
#include <gtest/gtest.h>

#include "dlcuda/layers/functional.h"
#include "dlcuda/optim/gradient_check.h"
#include "dlcuda/tests/support/random_tensor.h"

namespace dlcuda {
namespace {

namespace F = functional;
using Inputs = std::vector<Tensor>;

constexpr MemoryFormat kFormats[] = {MemoryFormat::Contiguous, MemoryFormat::ChannelsLast};

void expect_gradients(const std::function<Tensor(const Inputs&)>& f, const Inputs& inputs) {
  const GradientCheck check = check_gradients(f, inputs);
  EXPECT_TRUE(check.ok) << check.describe();
  EXPECT_GE(check.input, 0) << "nothing was checked";
}

// Each subset of inputs takes its own path through the backward function.
TEST(Gradients, Conv2dOfEachInputAlone) {
  const Inputs inputs{random_tensor({2, 2, 5, 5}, 0), random_tensor({3, 2, 3, 3}, 1), random_tensor({3}, 2)};
  for (std::size_t wanted = 0; wanted < 3; ++wanted) {
    expect_gradients(
        [&](const Inputs& in) {
          Inputs all = inputs;
          all[wanted] = in[0];
          return F::conv2d(all[0], all[1], all[2]);
        },
        {inputs[wanted]});
  }
}

TEST(Gradients, LinearAndMatmul) {
  for (const auto& [n, in_features, out_features] :
       {std::array{1, 1, 1}, {3, 5, 2}, {2, 31, 3}, {4, 3, 33}}) {
    const Tensor x = random_tensor({n, in_features}, 0),
                 weight = random_tensor({out_features, in_features}, 1);
    const Tensor bias = random_tensor({out_features}, 2),
                 right = random_tensor({in_features, out_features}, 3);
    expect_gradients([](const Inputs& in) { return F::linear(in[0], in[1], in[2]); }, {x, weight, bias});
    expect_gradients([](const Inputs& in) { return F::linear(in[0], in[1]); }, {x, weight});
    expect_gradients([&](const Inputs& in) { return F::linear(x, in[0], bias); }, {weight});
    expect_gradients([&](const Inputs& in) { return F::linear(x, weight, in[0]); }, {bias});
    expect_gradients([](const Inputs& in) { return F::matmul(in[0], in[1]); }, {x, right});
    expect_gradients([&](const Inputs& in) { return F::matmul(x, in[0]); }, {right});
  }
}

TEST(Gradients, Activations) {
  for (const Shape& shape : {Shape{1}, Shape{31}, Shape{257}, Shape{3, 5}, Shape{2, 3, 3, 5}}) {
    const Tensor x = distinct_tensor(shape);
    expect_gradients([](const Inputs& in) { return F::sigmoid(in[0]); }, {x});
    expect_gradients([](const Inputs& in) { return F::tanh(in[0]); }, {x});
    expect_gradients([](const Inputs& in) { return F::relu(in[0]); }, {x});
    expect_gradients([](const Inputs& in) { return F::leaky_relu(in[0], 0.2f); }, {x});
  }
}

TEST(Gradients, Pooling) {
  const F::Pool2dParams params[] = {
      {},
      {.kernel = {1, 1}, .stride = {1, 1}},
      {.kernel = {3, 2}, .stride = {1, 2}, .padding = {1, 0}},
      {.kernel = {2, 3}, .stride = {3, 2}, .padding = {1, 1}, .count_include_pad = false},
  };
  for (const F::Pool2dParams& p : params) {
    for (const Shape& shape : {Shape{1, 1, 2, 2}, Shape{2, 3, 5, 7}}) {
      for (const MemoryFormat format : kFormats) {
        SCOPED_TRACE(to_string(shape) + " " + to_string(format));
        const Tensor x = kernels::to_format(distinct_tensor(shape), format);
        if (shape[3] + 2 * p.padding[1] < p.kernel[1]) continue;
        expect_gradients([&](const Inputs& in) { return F::avg_pool2d(in[0], p); }, {x});
        expect_gradients([&](const Inputs& in) { return F::max_pool2d(in[0], p); }, {x});
      }
    }
  }
}

TEST(Gradients, DropoutDrawsItsMaskAgain) {
  for (const double p : {0.0, 0.3, 1.0}) {
    expect_gradients(
        [&](const Inputs& in) {
          kernels::Generator generator(3, RandomDomain::Dropout, Device::cpu());
          return F::dropout(in[0], p, true, generator);
        },
        {random_tensor({5, 13}, 0)});
  }
}

TEST(Gradients, ShapesAndFormats) {
  for (const MemoryFormat format : kFormats) {
    for (const Shape& shape : {Shape{1, 1, 1, 1}, Shape{2, 3, 4, 5}, Shape{2, 1, 3, 3}, Shape{2, 3, 1, 1}}) {
      const Tensor x = kernels::to_format(random_tensor(shape, 0), format);
      expect_gradients([](const Inputs& in) { return F::flatten(in[0]); }, {x});
      expect_gradients([](const Inputs& in) { return F::contiguous(in[0]); }, {x});
      expect_gradients([](const Inputs& in) { return F::to_format(in[0], MemoryFormat::ChannelsLast); }, {x});
      expect_gradients([](const Inputs& in) { return F::scale(F::contiguous(F::tanh(in[0])), 3); }, {x});
    }
  }
  expect_gradients([](const Inputs& in) { return F::flatten(in[0]); }, {random_tensor({3, 4}, 0)});
}

TEST(Gradients, Arithmetic) {
  for (const Shape& shape : {Shape{}, Shape{33}, Shape{2, 3, 2, 2}}) {
    const Tensor a = random_tensor(shape, 0), b = random_tensor(shape, 1);
    expect_gradients([](const Inputs& in) { return F::add(in[0], in[1]); }, {a, b});
    expect_gradients([](const Inputs& in) { return F::multiply(in[0], in[1]); }, {a, b});
    expect_gradients([&](const Inputs& in) { return F::multiply(a, in[0]); }, {b});
    expect_gradients([](const Inputs& in) { return F::multiply(in[0], in[0]); }, {a});
    expect_gradients([](const Inputs& in) { return F::scale(in[0], -2.5); }, {a});
  }
  for (const MemoryFormat format : kFormats) {
    const Tensor x = kernels::to_format(random_tensor({2, 3, 2, 5}, 0), format), bias = random_tensor({3}, 1);
    expect_gradients([](const Inputs& in) { return F::bias_add(in[0], in[1]); }, {x, bias});
  }
}

TEST(Gradients, ReductionsAndSoftmax) {
  const Tensor x = random_tensor({2, 3, 5}, 0);
  for (const auto reduction : {F::Reduction::Sum, F::Reduction::Mean}) {
    for (const std::optional<int> axis : {std::optional<int>(), {0}, {1}, {-1}}) {
      expect_gradients([&](const Inputs& in) { return F::reduce(in[0], reduction, axis); }, {x});
    }
  }
  for (const Shape& shape : {Shape{1, 1}, Shape{31}, Shape{2, 3, 5}}) {
    expect_gradients([](const Inputs& in) { return F::softmax(in[0]); }, {random_tensor(shape, 1)});
  }
}

TEST(Gradients, CrossEntropy) {
  for (const auto& [n, classes] : {std::array{1, 1}, {1, 10}, {31, 3}, {4, 33}}) {
    std::vector<std::int64_t> labels;
    for (int row = 0; row < n; ++row) labels.push_back(row * 7 % classes);
    const Tensor target = Tensor::from_values(labels, {n});
    expect_gradients([](const Inputs& in) { return F::cross_entropy(in[0], in[1]); },
                     {random_tensor({n, classes}, 0, DType::F64, -4, 4), target});
  }
}

// Through several functions at once, with gradients that arrive in another format than the forward pass had.
TEST(Gradients, ASmallNetwork) {
  for (const MemoryFormat format : kFormats) {
    const Tensor x = kernels::to_format(random_tensor({2, 1, 6, 6}, 0), format);
    const Tensor labels = Tensor::from_values<std::int64_t>({1, 0}, {2});
    expect_gradients(
        [&](const Inputs& in) {
          const Tensor features = F::avg_pool2d(F::tanh(F::conv2d(in[0], in[1], in[2])));
          const Tensor twice = F::add(features, F::scale(features, 0.5));
          return F::cross_entropy(F::linear(F::flatten(twice), in[3], in[4]), labels);
        },
        {x, random_tensor({3, 1, 3, 3}, 1), random_tensor({3}, 2), random_tensor({2, 12}, 3),
         random_tensor({2}, 4)});
  }
}

}  // namespace
}  // namespace dlcuda

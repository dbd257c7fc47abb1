// Numeric against analytic gradients in f64, of what the table of operations (tests/ops) does not draw.
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

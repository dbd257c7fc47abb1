// A convolution, its activation and the pooling behind it as one step, against the three one after another.
#include "dlcuda/layers/conv_pool.h"

#include <gtest/gtest.h>

#include "dlcuda/core/error.h"
#include "dlcuda/core/parallel.h"
#include "dlcuda/kernels/conv2d_pool.h"
#include "dlcuda/kernels/copy.h"
#include "dlcuda/tests/support/compare.h"
#include "dlcuda/tests/support/devices.h"
#include "dlcuda/tests/support/errors.h"
#include "dlcuda/tests/support/random_tensor.h"

namespace dlcuda::testing {
namespace {

namespace F = functional;
using F::Activation;
using F::ActivationParams;

struct Config {
  Shape x, weight;
  F::Conv2dParams params = {};
};

/// Even and odd outputs, padding, those that go plane by plane on the CPU and those that do not, more images
/// than one thread has in work at once.
const Config kConfigs[] = {{{2, 1, 12, 12}, {6, 1, 5, 5}},
                           {{2, 6, 14, 14}, {16, 6, 5, 5}},
                           {{19, 2, 6, 6}, {3, 2, 3, 3}},
                           {{3, 3, 7, 9}, {5, 3, 3, 2}, {.padding = {1, 0, 2, 1}}},
                           {{1, 2, 3, 2}, {1, 2, 2, 1}},
                           {{2, 4, 9, 9}, {8, 4, 3, 3}, {.stride = {2, 2}, .padding = {1, 1, 1, 1}}},
                           {{2, 8, 6, 7}, {24, 8, 3, 3}, {.padding = {1, 1, 1, 1}}}};

Tensor drawn(const Shape& shape, std::uint32_t ordinal, const Variant& v) {
  const Tensor x = random_tensor(shape, ordinal, v.dtype);
  return (shape.rank() == 4 ? kernels::to_format(x, v.format) : x).to(v.device);
}

/// y, pooled and the gradients of x, weight and bias.
template <typename Function>
std::vector<Tensor> results_of(const Function& function, std::vector<Tensor> inputs) {
  for (Tensor& input : inputs) input.set_requires_grad();
  const F::PooledConvolution out = function(inputs);
  const Tensor& y = out.pooled;
  const Tensor weights =
      kernels::to_format(random_tensor(y.shape(), 9, y.dtype()), y.format()).to(y.device());
  const Tensor weighted = F::multiply(y, weights);
  F::sum(y.dtype() == DType::F64 ? weighted : F::cast(weighted, DType::F32)).backward();
  std::vector<Tensor> results{out.y.detach(), y.detach()};
  for (const Tensor& input : inputs) results.push_back(input.grad());
  return results;
}

TEST(ConvPool, EqualsItsParts) {
  for (const Variant& v : variants(true)) {
    for (const Config& config : kConfigs) {
      for (const Activation kind :
           {Activation::Tanh, Activation::Relu, Activation::Identity, Activation::Silu}) {
        SCOPED_TRACE(to_string(v) + to_string(config.x) + to_string(config.weight) +
                     std::to_string(int(kind)));
        const ActivationParams activation{.kind = kind};
        const std::vector<Tensor> inputs{drawn(config.x, 0, v),
                                         kernels::contiguous(drawn(config.weight, 1, v)),
                                         drawn({config.weight[0]}, 2, v)};
        const auto found = results_of(
            [&](const auto& in) { return F::conv2d_pool(in[0], in[1], in[2], config.params, activation); },
            inputs);
        std::vector<Tensor> exact;
        for (const Tensor& input : inputs) {
          exact.push_back(kernels::cast(kernels::contiguous(input.detach()).to(Device::cpu()), DType::F64));
        }
        const auto expected = results_of(
            [&](const auto& in) {
              const Tensor y = F::activation(F::conv2d(in[0], in[1], in[2], config.params), activation);
              return F::PooledConvolution{y.detach(), F::avg_pool2d(y)};
            },
            exact);
        ASSERT_EQ(found.size(), expected.size());
        for (std::size_t i = 0; i < found.size(); ++i) {
          SCOPED_TRACE(i);
          // Elements of long sums cancel: whole results. 16-bit outputs are rounded before the way back,
          // which moves a few of them across a ReLU's kink; a bias's gradient is a sum of few and feels each.
          EXPECT_LT(
              relative_distance(kernels::cast(kernels::contiguous(found[i]).to(Device::cpu()), DType::F64),
                                expected[i]),
              v.dtype == DType::F64   ? 1e-12
              : v.dtype == DType::F32 ? 1e-5
              : v.dtype == DType::F16 ? 2e-2
                                      : 1.5e-1);
        }
        EXPECT_EQ(found[0].format(), inputs[0].format());
      }
    }
  }
}

TEST(ConvPool, GradientsThatAreNotWanted) {
  const Tensor x = random_tensor({2, 1, 8, 8}, 0, DType::F32),
               weight = random_tensor({3, 1, 3, 3}, 1, DType::F32);
  const ActivationParams tanh{.kind = Activation::Tanh};
  const auto out = kernels::conv2d_pool_forward(x, weight, {}, {}, tanh);
  const Tensor dpooled = random_tensor(out.pooled.shape(), 2, DType::F32);
  const auto all =
      kernels::conv2d_pool_backward({.dpooled = dpooled, .y = out.y, .x = x, .weight = weight}, {}, tanh);
  for (const int wanted : {1, 2, 3, 4, 5, 6}) {
    SCOPED_TRACE(wanted);
    const auto some = kernels::conv2d_pool_backward({.dpooled = dpooled,
                                                     .y = out.y,
                                                     .x = x,
                                                     .weight = weight,
                                                     .wants_x = (wanted & 1) != 0,
                                                     .wants_weight = (wanted & 2) != 0,
                                                     .wants_bias = (wanted & 4) != 0},
                                                    {}, tanh);
    const auto check = [](const Tensor& found, const Tensor& expected, bool wants) {
      ASSERT_EQ(found.defined(), wants);
      if (wants) expect_close(found, kernels::cast(expected, DType::F64));
    };
    check(some.x, all.x, (wanted & 1) != 0);
    check(some.weight, all.weight, (wanted & 2) != 0);
    check(some.bias, all.bias, (wanted & 4) != 0);
  }
}

TEST(ConvPool, RepeatsItsBits) {
  const Tensor x = random_tensor({13, 6, 14, 14}, 0, DType::F32),
               weight = random_tensor({16, 6, 5, 5}, 1, DType::F32);
  const ActivationParams tanh{.kind = Activation::Tanh};
  const int before = num_threads();
  for (const int threads : {1, 2, 3}) {
    set_num_threads(threads);
    std::vector<std::vector<float>> first;
    for (int round = 0; round < 5; ++round) {
      const auto out = kernels::conv2d_pool_forward(x, weight, {}, {}, tanh);
      const auto back = kernels::conv2d_pool_backward(
          {.dpooled = out.pooled, .y = out.y, .x = x, .weight = weight}, {}, tanh);
      const std::vector<std::vector<float>> bits{out.y.values<float>(), out.pooled.values<float>(),
                                                 back.x.values<float>(), back.weight.values<float>(),
                                                 back.bias.values<float>()};
      if (first.empty()) first = bits;
      EXPECT_EQ(bits, first) << threads;
    }
  }
  set_num_threads(before);
}

TEST(ConvPool, Refuses) {
  const Tensor x = Tensor::zeros({2, 3, 8, 8}), weight = Tensor::zeros({4, 3, 3, 3});
  const ActivationParams tanh{.kind = Activation::Tanh};
  expect_error<ArgumentError>(
      [&] { kernels::conv2d_pool_forward(x, weight, {}, {}, {.kind = Activation::Silu}); }, "conv2d_pool",
      "needs its input");
  expect_error<ShapeError>(
      [&] {
        kernels::conv2d_pool_forward(Tensor::zeros({2, 3}), weight, {}, {}, tanh);
      },
      "conv2d_pool: x must have 4 axes");
  expect_error<DTypeError>(
      [&] { kernels::conv2d_pool_forward(x, weight, Tensor::zeros({4}, DType::F64), {}, tanh); },
      "conv2d_pool: bias must be f32, got f64");
  expect_error<ShapeError>(
      [&] {
        kernels::conv2d_pool_backward({.dpooled = Tensor::zeros({2, 4, 2, 3}),
                                       .y = Tensor::zeros({2, 4, 6, 6}),
                                       .x = x,
                                       .weight = weight},
                                      {}, tanh);
      },
      "conv2d_pool_backward: dpooled must have shape [2, 4, 3, 3], got [2, 4, 2, 3]");
}

}  // namespace
}  // namespace dlcuda::testing

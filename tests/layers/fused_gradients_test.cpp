// Backward passes that do the work of several: activation and bias, gradients that are sums, norms that leave
// their residual's gradient; against the parts that they are made of.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "dlcuda/core/autograd.h"
#include "dlcuda/core/error.h"
#include "dlcuda/kernels/arithmetic.h"
#include "dlcuda/kernels/batch_norm.h"
#include "dlcuda/kernels/bias.h"
#include "dlcuda/kernels/copy.h"
#include "dlcuda/layers/functional.h"
#include "dlcuda/tests/support/compare.h"
#include "dlcuda/tests/support/devices.h"
#include "dlcuda/tests/support/errors.h"
#include "dlcuda/tests/support/random_tensor.h"

namespace dlcuda::testing {
namespace {

namespace F = functional;
using F::Activation;
using F::ActivationParams;

/// 17 and 40 channels: one by one, and in packs; rows enough for two passes.
const Shape kShapes[] = {{3, 17, 5, 3}, {30, 40, 4, 5}, {300, 40}, {7, 5}};

Tensor drawn(const Shape& shape, std::uint32_t ordinal, const Variant& v) {
  const Tensor x = random_tensor(shape, ordinal, v.dtype);
  return (shape.rank() == 4 ? kernels::to_format(x, v.format) : x).to(v.device);
}

Tensor wide(const Tensor& x) { return kernels::cast(kernels::contiguous(x).to(Device::cpu()), DType::F64); }

TEST(FusedGradients, ActivationAndBias) {
  for (const Variant& v : variants(true)) {
    for (const Shape& shape : kShapes) {
      if (v.format == MemoryFormat::ChannelsLast && shape.rank() != 4) continue;
      for (const Activation kind : {Activation::Relu, Activation::Tanh, Activation::Identity}) {
        SCOPED_TRACE(to_string(v) + " " + to_string(shape) + " " + std::to_string(int(kind)));
        const ActivationParams activation{.kind = kind};
        const Tensor dy = drawn(shape, 0, v), y = drawn(shape, 1, v);
        const auto [dx, db] = kernels::activation_bias_backward(dy, y, activation);
        const Tensor expected = kernels::activation_backward(wide(dy), wide(y), activation);
        expect_close(dx.to(Device::cpu()), expected);
        // Of what dx was rounded to; up to 600 terms of either sign.
        expect_close(db.to(Device::cpu()), kernels::bias_backward(wide(dx)),
                     {tolerance(v.dtype).relative, v.dtype == DType::F64 ? 1e-7 : 1e-4});
        EXPECT_EQ(dx.format(), dy.format());
      }
    }
  }
  expect_error<ArgumentError>(
      [] {
        const Tensor x = Tensor::zeros({2, 2});
        kernels::activation_bias_backward(x, x, {.kind = Activation::Silu});
      },
      "activation_bias_backward", "needs its input");
}

/// y, then the gradients of the inputs.
template <typename Function>
std::vector<Tensor> results_of(const Function& function, std::vector<Tensor> inputs) {
  for (Tensor& input : inputs) input.set_requires_grad();
  const Tensor y = function(inputs);
  const Tensor weighted =
      F::multiply(y, kernels::to_format(random_tensor(y.shape(), 9, y.dtype()), y.format()).to(y.device()));
  F::sum(y.dtype() == DType::F64 ? weighted : F::cast(weighted, DType::F32)).backward();
  std::vector<Tensor> results{y.detach()};
  for (const Tensor& input : inputs) results.push_back(input.grad());
  return results;
}

void expect_equal(const std::vector<Tensor>& found, const std::vector<Tensor>& expected, double widen) {
  ASSERT_EQ(found.size(), expected.size());
  for (std::size_t i = 0; i < found.size(); ++i) {
    SCOPED_TRACE(i);
    EXPECT_EQ(found[i].format(), expected[i].format());
    expect_close(found[i].to(Device::cpu()), wide(expected[i]),
                 {widen * tolerance(found[i].dtype()).relative,
                  found[i].dtype() == DType::BF16 || found[i].dtype() == DType::F16 ? 2e-2 : 1e-5});
  }
}

TEST(FusedGradients, ConvolutionsAndLinearLayersWithActivations) {
  const F::Conv2dParams params{.padding = {1, 1, 1, 1}};
  for (const Variant& v : variants(true)) {
    for (const Activation kind : {Activation::Relu, Activation::LeakyRelu, Activation::Tanh, Activation::Elu,
                                  Activation::Silu, Activation::Identity}) {
      SCOPED_TRACE(to_string(v) + " " + std::to_string(int(kind)));
      const ActivationParams activation{.kind = kind};
      const std::vector<Tensor> pictures{drawn({2, 3, 4, 5}, 0, v), drawn({4, 3, 3, 3}, 1, v),
                                         drawn({4}, 2, v)};
      expect_equal(
          results_of(
              [&](const auto& in) { return F::conv2d_activation(in[0], in[1], in[2], params, activation); },
              pictures),
          results_of(
              [&](const auto& in) {
                return F::activation(F::conv2d(in[0], in[1], in[2], params), activation);
              },
              pictures),
          2);  // one rounding less
      if (v.format == MemoryFormat::ChannelsLast) continue;
      const std::vector<Tensor> rows{drawn({3, 5}, 0, v), drawn({4, 5}, 1, v), drawn({4}, 2, v)};
      expect_equal(
          results_of([&](const auto& in) { return F::linear_activation(in[0], in[1], in[2], activation); },
                     rows),
          results_of(
              [&](const auto& in) { return F::activation(F::linear(in[0], in[1], in[2]), activation); },
              rows),
          1);
    }
  }
  // Without a bias there is none to compute.
  const Variant v{Device::cpu(), DType::F64, MemoryFormat::Contiguous};
  const std::vector<Tensor> rows{drawn({3, 5}, 0, v), drawn({4, 5}, 1, v)};
  const ActivationParams relu{.kind = Activation::Relu};
  expect_equal(results_of([&](const auto& in) { return F::linear_activation(in[0], in[1], {}, relu); }, rows),
               results_of([&](const auto& in) { return F::relu(F::linear(in[0], in[1])); }, rows), 1);
}

TEST(FusedGradients, BatchNormOfEveryKind) {
  for (const Variant& v : variants(true)) {
    for (const Shape& shape : kShapes) {
      if (v.format == MemoryFormat::ChannelsLast && shape.rank() != 4) continue;
      for (const Activation kind : {Activation::Relu, Activation::Relu6, Activation::Identity}) {
        for (const bool with_residual : {false, true}) {
          for (const bool in_parts : {false, true}) {
            SCOPED_TRACE(to_string(v) + " " + to_string(shape) + " " + std::to_string(int(kind)) +
                         (with_residual ? " residual" : "") + (in_parts ? " in parts" : ""));
            const kernels::BatchNormParams params{.activation = {.kind = kind}};
            const DType exact = v.dtype == DType::F64 ? DType::F64 : DType::F32;
            const auto channels = [&](std::uint32_t ordinal) {
              return kernels::cast(random_tensor({shape[1]}, ordinal, v.dtype), exact).to(v.device);
            };
            const Tensor x = drawn(shape, 0, v), residual = with_residual ? drawn(shape, 1, v) : Tensor();
            const Tensor weight = channels(2), bias = channels(3);
            const auto out = kernels::batch_norm_training(x, weight, bias, residual, {}, {}, params);
            const Tensor dy = drawn(shape, 4, v), more = in_parts ? drawn(shape, 5, v) : Tensor();
            const auto found = kernels::batch_norm_backward({.dy = dy,
                                                             .more = more,
                                                             .x = x,
                                                             .y = with_residual ? out.y : Tensor(),
                                                             .weight = weight,
                                                             .bias = bias,
                                                             .mean = out.mean,
                                                             .inverse_std = out.inverse_std},
                                                            true, with_residual, params);
            // g, rounded where it is left; then a norm without activation.
            Tensor g = in_parts ? kernels::add(wide(dy), wide(more)) : wide(dy);
            g = kernels::activation_backward(g, wide(out.y), params.activation);
            if (with_residual) {
              expect_close(found.residual.to(Device::cpu()), g);
              g = wide(found.residual);
            }
            const auto expected = kernels::batch_norm_backward({.dy = g,
                                                                .x = wide(x),
                                                                .weight = wide(weight),
                                                                .mean = wide(out.mean),
                                                                .inverse_std = wide(out.inverse_std)},
                                                               true, false);
            const Tolerance sums{tolerance(v.dtype).relative, v.dtype == DType::F64   ? 1e-7
                                                              : v.dtype == DType::F32 ? 1e-3
                                                                                      : 5e-1};
            expect_close(found.bias.to(Device::cpu()), expected.bias, sums);
            expect_close(found.weight.to(Device::cpu()), expected.weight, sums);
            EXPECT_LT(relative_distance(wide(found.x), expected.x), v.dtype == DType::F64   ? 1e-12
                                                                    : v.dtype == DType::F32 ? 1e-5
                                                                                            : 2e-2);
            EXPECT_EQ(found.x.format(), x.format());
          }
        }
      }
    }
  }
}

TEST(FusedGradients, BatchNormNeedsTheOutputThatAResidualChanged) {
  const Tensor x = random_tensor({4, 3}, 0, DType::F32), channels = random_tensor({3}, 1, DType::F32);
  expect_error<ArgumentError>(
      [&] {
        kernels::batch_norm_backward({.dy = x, .x = x, .mean = channels, .inverse_std = channels}, true, true,
                                     {.activation = {.kind = Activation::Relu}});
      },
      "batch_norm_backward: y is needed", "residual");
}

/// x -> 2 x, which tells how its gradient came.
// A training that has diverged must not look well behind its activations.
TEST(FusedGradients, NanGoesThroughActivations) {
  for (const Device device : test_devices()) {
    for (const DType dtype : {DType::F32, DType::BF16}) {
      SCOPED_TRACE(to_string(device) + " " + to_string(dtype));
      Tensor x = Tensor::zeros({1, 3, 6, 6});
      kernels::fill(x, std::numeric_limits<double>::quiet_NaN());
      Tensor weight = random_tensor({32, 3, 3, 3}, 1, dtype).to(device);
      weight.set_requires_grad();
      for (const auto kind : {F::Activation::Relu, F::Activation::Relu6}) {
        const Tensor y =
            F::conv2d_activation(kernels::cast(x, dtype).to(device), weight, {}, {}, {.kind = kind});
        for (const double value : as_doubles(kernels::cast(y.detach().to(Device::cpu()), DType::F64))) {
          ASSERT_TRUE(std::isnan(value));
        }
      }
    }
  }
}

Tensor doubled(const Tensor& x, int* parts) {
  return autograd::record_in_parts(
      "doubled", kernels::scale(x, 2), {x}, [parts](const autograd::BackwardContext& context) {
        *parts = context.more.defined() ? 2 : 1;
        const Tensor sum = context.more.defined() ? kernels::add(context.grad, context.more) : context.grad;
        return std::vector{kernels::scale(sum, 2)};
      });
}

TEST(FusedGradients, ANodeGetsItsGradientInTwoParts) {
  for (const int uses : {1, 2, 3, 4}) {
    SCOPED_TRACE(uses);
    Tensor x = Tensor::from_values<double>({1, 2}, {2});
    x.set_requires_grad();
    int parts = 0;
    const Tensor y = doubled(x, &parts);
    Tensor total;
    for (int use = 1; use <= uses; ++use) {
      const Tensor term = F::sum(F::scale(y, use));
      total = total.defined() ? F::add(total, term) : term;
    }
    total.backward();
    EXPECT_EQ(parts, uses == 1 ? 1 : 2);
    const double expected = uses * (uses + 1);
    EXPECT_EQ(x.grad().values<double>(), (std::vector<double>{expected, expected}));
  }
}

}  // namespace
}  // namespace dlcuda::testing

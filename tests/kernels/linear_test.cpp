// Small linear layers against matrix products, activations and sums in f64; everywhere, and with any number
// of threads.
#include "dlcuda/kernels/linear.h"

#include <gtest/gtest.h>

#include <array>

#include "dlcuda/core/error.h"
#include "dlcuda/core/parallel.h"
#include "dlcuda/kernels/bias.h"
#include "dlcuda/kernels/copy.h"
#include "dlcuda/kernels/matmul.h"
#include "dlcuda/tests/support/compare.h"
#include "dlcuda/tests/support/errors.h"
#include "dlcuda/tests/support/random_tensor.h"

namespace dlcuda::testing {
namespace {

using kernels::Activation;
using kernels::ActivationParams;

/// Rows, inputs, outputs: below, at and above tiles of 4 and 16, vectors of every width, and chunks of 64 and
/// 256 terms.
constexpr std::array<std::array<std::int64_t, 3>, 9> kSizes{{{1, 1, 1},
                                                             {3, 5, 2},
                                                             {4, 16, 4},
                                                             {17, 15, 9},
                                                             {31, 33, 7},
                                                             {5, 65, 33},
                                                             {64, 120, 84},
                                                             {300, 7, 3},
                                                             {7, 9, 270}}};

/// Integers, on which every sum is exact: f32 equals f64 to the bit.
TEST(SmallLinear, EqualsMatrixProductsOnIntegers) {
  const ActivationParams relu{.kind = Activation::Relu};
  for (const auto& [rows, inputs, outputs] : kSizes) {
    const Tensor x = random_integers({rows, inputs}, 0), weight = random_integers({outputs, inputs}, 1);
    const Tensor bias = random_integers({outputs}, 2), dy = random_integers({rows, outputs}, 3);
    const Tensor y =
        kernels::activation_forward(kernels::matmul(x, weight, bias, {.transpose_b = true}), relu);
    const Tensor slopes = kernels::activation_backward(dy, y, relu);
    const Tensor dx = kernels::matmul(slopes, weight), db = kernels::bias_backward(slopes);
    const Tensor dw = kernels::matmul(slopes, x, {}, {.transpose_a = true});
    const Tolerance exact{0, 0};
    for (const Device device : test_devices()) {
      for (const DType dtype : {DType::F32, DType::F64}) {
        if (dtype == DType::F64 && device.is_cuda()) continue;
        SCOPED_TRACE(to_string(device) + to_string(dtype) + to_string(x.shape()) + to_string(weight.shape()));
        const auto on = [&](const Tensor& t) { return kernels::cast(t, dtype).to(device); };
        EXPECT_TRUE(kernels::is_small_linear(on(x), on(weight), on(bias)));
        const Tensor found = kernels::linear_forward(on(x), on(weight), on(bias), relu);
        expect_close(found, y, exact);
        expect_close(kernels::linear_forward(on(x), on(weight), {}, {.kind = Activation::Identity}),
                     kernels::matmul(x, weight, {}, {.transpose_b = true}), exact);
        const auto all =
            kernels::linear_backward({.dy = on(dy), .y = found, .x = on(x), .weight = on(weight)}, relu);
        expect_close(all.x, dx, exact);
        expect_close(all.weight, dw, exact);
        expect_close(all.bias, db, exact);
        // One at a time, and without an activation.
        const ActivationParams none{.kind = Activation::Identity};
        const auto of_x = kernels::linear_backward(
            {.dy = on(slopes), .y = {}, .x = {}, .weight = on(weight), .with_bias = false}, none);
        expect_close(of_x.x, dx, exact);
        EXPECT_FALSE(of_x.weight.defined() || of_x.bias.defined());
        const auto of_w = kernels::linear_backward(
            {.dy = on(slopes), .y = {}, .x = on(x), .weight = {}, .with_bias = false}, none);
        expect_close(of_w.weight, dw, exact);
        EXPECT_FALSE(of_w.x.defined() || of_w.bias.defined());
        const auto of_b = kernels::linear_backward({.dy = on(slopes), .y = {}, .x = {}, .weight = {}}, none);
        expect_close(of_b.bias, db, exact);
        EXPECT_FALSE(of_b.x.defined() || of_b.weight.defined());
      }
    }
  }
}

TEST(SmallLinear, EveryDTypeAndActivation) {
  for (const Variant& v : variants(false)) {
    for (const Activation kind :
         {Activation::Identity, Activation::Tanh, Activation::Sigmoid, Activation::Elu}) {
      SCOPED_TRACE(to_string(v) + " " + std::to_string(int(kind)));
      const ActivationParams activation{.kind = kind};
      const Tensor x = random_tensor({9, 21}, 0, v.dtype), weight = random_tensor({18, 21}, 1, v.dtype);
      const Tensor bias = random_tensor({18}, 2, v.dtype), dy = random_tensor({9, 18}, 3, v.dtype);
      const auto wide = [](const Tensor& t) { return kernels::cast(t.to(Device::cpu()), DType::F64); };
      const Tensor y =
          kernels::linear_forward(x.to(v.device), weight.to(v.device), bias.to(v.device), activation);
      // Sums of 21 products that cancel.
      const Tolerance allowed{tolerance(v.dtype).relative, 8 * tolerance(v.dtype).relative};
      expect_close(y.to(Device::cpu()),
                   kernels::activation_forward(
                       kernels::matmul(wide(x), wide(weight), wide(bias), {.transpose_b = true}), activation),
                   allowed);
      const auto found = kernels::linear_backward(
          {.dy = dy.to(v.device), .y = y, .x = x.to(v.device), .weight = weight.to(v.device)}, activation);
      const Tensor slopes = kernels::activation_backward(wide(dy), wide(y), activation);
      expect_close(found.x.to(Device::cpu()), kernels::matmul(slopes, wide(weight)), allowed);
      expect_close(found.weight.to(Device::cpu()),
                   kernels::matmul(slopes, wide(x), {}, {.transpose_a = true}), allowed);
      expect_close(found.bias.to(Device::cpu()), kernels::bias_backward(slopes), allowed);
    }
  }
}

TEST(SmallLinear, ThreadsChangeNoBits) {
  const Tensor x = random_tensor({67, 121}, 0, DType::F32), weight = random_tensor({90, 121}, 1, DType::F32);
  const Tensor dy = random_tensor({67, 90}, 2, DType::F32);
  const ActivationParams tanh{.kind = Activation::Tanh};
  const int before = num_threads();
  std::vector<std::vector<float>> first;
  for (const int threads : {1, 2, 3, 7}) {
    set_num_threads(threads);
    const Tensor y = kernels::linear_forward(x, weight, {}, tanh);
    const auto found = kernels::linear_backward({.dy = dy, .y = y, .x = x, .weight = weight}, tanh);
    const std::vector<std::vector<float>> bits{y.values<float>(), found.x.values<float>(),
                                               found.weight.values<float>(), found.bias.values<float>()};
    if (first.empty()) first = bits;
    EXPECT_EQ(bits, first) << threads;
  }
  set_num_threads(before);
}

TEST(SmallLinear, NothingToSum) {
  for (const Device device : test_devices()) {
    const auto zeros = [&](const Shape& shape) { return Tensor::zeros(shape, DType::F32, device); };
    const Tensor bias = Tensor::from_values<float>({1, 2}, {2}, device);
    EXPECT_EQ(kernels::linear_forward(zeros({0, 3}), zeros({2, 3}), bias, {}).shape(), (Shape{0, 2}));
    EXPECT_EQ(kernels::linear_forward(zeros({2, 0}), zeros({2, 0}), bias, {}).values<float>(),
              (std::vector<float>{1, 2, 1, 2}));
    const auto gradients =
        kernels::linear_backward({.dy = zeros({0, 2}), .y = {}, .x = zeros({0, 3}), .weight = zeros({2, 3})},
                                 {.kind = Activation::Identity});
    EXPECT_EQ(gradients.x.shape(), (Shape{0, 3}));
    EXPECT_EQ(gradients.weight.values<float>(), std::vector<float>(6));
    EXPECT_EQ(gradients.bias.values<float>(), std::vector<float>(2));
  }
}

TEST(SmallLinear, LargeOnesAreTheLibrarys) {
  const Tensor x = Tensor::zeros({256, 512}), weight = Tensor::zeros({64, 512});
  EXPECT_FALSE(kernels::is_small_linear(x, weight, {}));
  EXPECT_TRUE(kernels::is_small_linear(x, Tensor::zeros({32, 512}), {}));
  EXPECT_FALSE(kernels::is_small_linear(x, Tensor::zeros({32, 511}), {}));
  EXPECT_FALSE(kernels::is_small_linear(x, Tensor::zeros({32, 512}), Tensor::zeros({31})));
  EXPECT_FALSE(
      kernels::is_small_linear(Tensor::zeros({2, 3}, DType::BF16), Tensor::zeros({4, 3}, DType::BF16), {}));
}

TEST(SmallLinear, Refuses) {
  const auto zeros = [](const Shape& shape) { return Tensor::zeros(shape); };
  expect_error<ShapeError>(
      [&] {
        kernels::linear_forward(zeros({2}), zeros({3, 2}), {}, {});
      },
      "linear_forward", "x must have 2 axes");
  expect_error<ShapeError>(
      [&] {
        kernels::linear_forward(zeros({2, 4}), zeros({3, 2}), {}, {});
      },
      "linear_forward: weight must have shape [3, 4], got [3, 2]");
  expect_error<ShapeError>(
      [&] {
        kernels::linear_forward(zeros({2, 4}), zeros({3, 4}), zeros({4}), {});
      },
      "linear_forward: bias must have shape [3], got [4]");
  expect_error<DTypeError>(
      [&] {
        kernels::linear_forward(zeros({2, 4}), Tensor::zeros({3, 4}, DType::F64), {}, {});
      },
      "linear_forward: weight must be f32, got f64");
  expect_error<ArgumentError>(
      [&] {
        kernels::linear_backward({.dy = zeros({2, 3}), .y = zeros({2, 3}), .x = {}, .weight = {}},
                                 {.kind = Activation::Gelu});
      },
      "linear_backward", "needs its input");
  expect_error<Error>(
      [&] {
        kernels::linear_backward({.dy = zeros({2, 3}), .y = {}, .x = {}, .weight = {}},
                                 {.kind = Activation::Tanh});
      },
      "linear_backward", "y is undefined");
  expect_error<ShapeError>(
      [&] {
        kernels::linear_backward({.dy = zeros({2, 3}), .y = {}, .x = zeros({4, 5}), .weight = {}},
                                 {.kind = Activation::Identity});
      },
      "linear_backward: x must have shape [2, 5], got [4, 5]");
}

}  // namespace
}  // namespace dlcuda::testing

// An enlarging convolution that writes into its part of a concatenation, against the parts that it is made
// of.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "dlcuda/core/error.h"
#include "dlcuda/kernels/copy.h"
#include "dlcuda/layers/functional.h"
#include "dlcuda/tests/support/compare.h"
#include "dlcuda/tests/support/devices.h"
#include "dlcuda/tests/support/errors.h"
#include "dlcuda/tests/support/random_tensor.h"

namespace dlcuda::testing {
namespace {

struct Case {
  Shape skip, x, weight;
  functional::ConvTranspose2dParams params;
};

const Case kCases[] = {
    {{2, 3, 6, 8}, {2, 5, 3, 4}, {5, 2, 2, 2}, {.stride = {2, 2}}},   // as large
    {{2, 3, 9, 12}, {2, 5, 3, 4}, {5, 2, 2, 2}, {.stride = {2, 2}}},  // an odd and an even rest
    {{1, 2, 7, 7}, {1, 2, 3, 3}, {2, 3, 3, 3}, {.stride = {2, 2}}},   // taps that meet
    {{1, 8, 4, 6}, {1, 3, 2, 3}, {3, 16, 2, 2}, {.stride = {2, 2}}},  // channels in packs
};

Tensor from_parts(const Tensor& skip, const Tensor& x, const Tensor& weight, const Tensor& bias,
                  const functional::ConvTranspose2dParams& params) {
  const Tensor up = functional::conv_transpose2d(x, weight, bias, params);
  Tensor middle = skip;
  for (const int axis : {2, 3}) {
    middle = functional::narrow(middle, axis, (skip.size(axis) - up.size(axis)) / 2, up.size(axis));
  }
  return functional::concat(std::array{middle, up}, 1);
}

/// The result, then the gradients of all four inputs.
template <typename Function>
std::vector<Tensor> run(const Function& function, const Case& c, const Variant& variant) {
  std::vector<Tensor> inputs;
  for (const Shape& shape : {c.skip, c.x, c.weight, Shape{c.weight[1]}}) {
    Tensor input = random_tensor(shape, std::uint32_t(inputs.size()), variant.dtype);
    if (inputs.size() < 2) input = kernels::to_format(input, variant.format);
    inputs.push_back(input.to(variant.device));
    inputs.back().set_requires_grad();
  }
  const Tensor y = function(inputs[0], inputs[1], inputs[2], inputs[3], c.params);
  EXPECT_EQ(y.format(), variant.format);
  const Tensor factors =
      kernels::to_format(random_tensor(y.shape(), 9, variant.dtype), variant.format).to(variant.device);
  const Tensor weighted = functional::multiply(y, factors);
  // A loss is f32 or f64.
  functional::sum(variant.dtype == DType::F64 ? weighted : functional::cast(weighted, DType::F32)).backward();
  std::vector<Tensor> results = {y.detach()};
  for (const Tensor& input : inputs) results.push_back(input.grad());
  return results;
}

TEST(ConvTranspose2dConcat, IsWhatItsPartsAre) {
  for (const Variant& variant : variants(true)) {
    for (const Case& c : kCases) {
      SCOPED_TRACE(to_string(variant) + " skip " + to_string(c.skip));
      const auto joined = [](const auto&... arguments) {
        return functional::conv_transpose2d_concat(arguments...);
      };
      const auto got = run(joined, c, variant), expected = run(from_parts, c, variant);
      for (std::size_t i = 0; i < got.size(); ++i) {
        SCOPED_TRACE(i);
        EXPECT_EQ(as_doubles(got[i]), as_doubles(expected[i]));
      }
    }
  }
}

/// A step down and back up of a U-Net: a norm whose output is joined with what is enlarged, and pooled as
/// well if asked for. In place, the norm writes into the result. The result, then gradients of the norm's
/// input and parameters and of what is enlarged.
std::vector<Tensor> down_and_up(const Variant& variant, std::int64_t channels, bool pooled, bool in_place) {
  const auto make = [&](const Shape& shape, std::uint32_t seed, DType dtype) {
    Tensor x = random_tensor(shape, seed, dtype);
    if (shape.rank() == 4) x = kernels::to_format(x, variant.format);
    return x.to(variant.device);
  };
  const DType dtype = variant.dtype, exact = dtype == DType::F64 ? DType::F64 : DType::F32;
  std::vector<Tensor> inputs = {make({2, channels, 4, 6}, 0, dtype), make({channels}, 1, exact),
                                make({channels}, 2, exact), make({2, 5, 2, 3}, 3, dtype)};
  for (Tensor& input : inputs) input.set_requires_grad();
  const Tensor weight = make({5, 8, 2, 2}, 4, dtype);
  const Shape shape{2, channels + 8, 4, 6};
  const Tensor whole = in_place ? Tensor::empty(shape, dtype, variant.device, variant.format) : Tensor();
  const Tensor skip = functional::batch_norm_add(inputs[0], {}, {.weight = inputs[1], .bias = inputs[2]},
                                                 true, {.activation = {.kind = functional::Activation::Relu}},
                                                 {}, in_place ? whole.channel_slice(0, channels) : Tensor());
  const Tensor y =
      functional::conv_transpose2d_concat(skip, inputs[3], weight, {}, {.stride = {2, 2}}, whole);
  EXPECT_EQ(y.format(), variant.format);
  const auto weighted_sum = [&](const Tensor& x, std::uint32_t seed) {
    const Tensor weighted = functional::multiply(x, make(x.shape(), seed, dtype));
    return functional::sum(dtype == DType::F64 ? weighted : functional::cast(weighted, DType::F32));
  };
  Tensor loss = weighted_sum(y, 5);
  if (pooled) {
    const Tensor pool = functional::max_pool2d(skip, {.kernel = {3, 3}, .stride = {2, 2}, .padding = {1, 1}});
    loss = functional::add(loss, weighted_sum(pool, 6));
  }
  loss.backward();
  std::vector<Tensor> results = {y.detach()};
  for (const Tensor& input : inputs) results.push_back(input.grad());
  return results;
}

// With 8 channels slices are read in packs, with 3 element by element.
TEST(ConvTranspose2dConcat, InPlaceGivesWhatCopyingGives) {
  for (const Variant& variant : variants(true)) {
    for (const std::int64_t channels : {1, 3, 8}) {
      for (const bool pooled : {false, true}) {
        SCOPED_TRACE(to_string(variant) + fmt::format(" {} channels, pooled: {}", channels, pooled));
        const auto got = down_and_up(variant, channels, pooled, true),
                   expected = down_and_up(variant, channels, pooled, false);
        ASSERT_EQ(got.size(), expected.size());
        for (std::size_t i = 0; i < got.size(); ++i) {
          SCOPED_TRACE(i);
          const Tensor wanted = kernels::cast(expected[i].to(Device::cpu()), DType::F64);
          // Sums run in another order where the alignment of a slice is another.
          expect_close(got[i], wanted, 4);
        }
      }
    }
  }
}

TEST(ConvTranspose2dConcat, RefusesAWholeOfWhichTheSkipIsNoPart) {
  const Tensor x = Tensor::zeros({2, 5, 3, 4}), weight = Tensor::zeros({5, 2, 2, 2});
  const Tensor whole = Tensor::zeros({2, 5, 6, 8});
  const auto join = [&](const Tensor& skip, const Tensor& into) {
    functional::conv_transpose2d_concat(skip, x, weight, {}, {.stride = {2, 2}}, into);
  };
  EXPECT_NO_THROW(join(whole.channel_slice(0, 3), whole));
  expect_error<ArgumentError>([&] { join(whole.channel_slice(1, 4), whole); }, "not the first channels");
  expect_error<ArgumentError>([&] { join(Tensor::zeros({2, 3, 6, 8}), whole); }, "not the first channels");
  expect_error<ShapeError>([&] { join(whole.channel_slice(0, 2), whole); }, "whole must be [2, 4, 6, 8]");
}

TEST(ConvTranspose2dConcat, ComputesOnlyGradientsThatAreNeeded) {
  const Case& c = kCases[0];
  Tensor skip = random_tensor(c.skip, 0), x = random_tensor(c.x, 1);
  const Tensor weight = random_tensor(c.weight, 2);
  skip.set_requires_grad();
  functional::sum(functional::conv_transpose2d_concat(skip, x, weight, {}, c.params)).backward();
  EXPECT_EQ(as_doubles(skip.grad()), std::vector<double>(std::size_t(skip.numel()), 1.0));
  EXPECT_FALSE(x.grad().defined());
  EXPECT_FALSE(functional::conv_transpose2d_concat(skip.detach(), x, weight, {}, c.params).requires_grad());
}

TEST(ConvTranspose2dConcat, RefusesASkipThatDoesNotFit) {
  const Tensor x = Tensor::zeros({2, 5, 3, 4}), weight = Tensor::zeros({5, 2, 2, 2});
  const functional::ConvTranspose2dParams params{.stride = {2, 2}};
  for (const Shape& skip : {Shape{2, 3, 5, 8}, Shape{2, 3, 6, 7}, Shape{1, 3, 6, 8}}) {
    expect_error<ShapeError>(
        [&] { functional::conv_transpose2d_concat(Tensor::zeros(skip), x, weight, {}, params); },
        to_string(skip), "must not be smaller");
  }
  expect_error<ShapeError>([&] { functional::conv_transpose2d_concat({}, x, weight, {}, params); },
                           "undefined");
}

}  // namespace
}  // namespace dlcuda::testing

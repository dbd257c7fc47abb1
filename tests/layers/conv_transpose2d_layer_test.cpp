// The module around functional::conv_transpose2d: what a state_dict and a reader see of it. Its numbers are
// in the table of operations.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "dlcuda/core/error.h"
#include "dlcuda/layers/layers.h"
#include "dlcuda/tests/support/random_tensor.h"

namespace dlcuda {
namespace {

std::string refusal(const ConvTranspose2dOptions& options) {
  try {
    ConvTranspose2d layer(options);
  } catch (const ArgumentError& error) {
    return error.what();
  }
  return "(accepted)";
}

TEST(ConvTranspose2dLayer, Describes) {
  EXPECT_EQ(ConvTranspose2d({64, 32, {2, 2}, {.stride = {2, 2}}}).describe(),
            "ConvTranspose2d(64, 32, kernel 2x2, stride 2x2)");
  EXPECT_EQ(
      ConvTranspose2d({4,
                       6,
                       {3, 5},
                       {.stride = {2, 3},
                        .padding = {1, 0, 0, 1},
                        .output_padding = {1, 2},
                        .dilation = {2, 1},
                        .groups = 2},
                       false})
          .describe(),
      "ConvTranspose2d(4, 6, kernel 3x5, stride 2x3, padding 1,0,0,1, dilation 2x1, groups 2, output padding "
      "1x2, no bias)");
}

TEST(ConvTranspose2dLayer, RefusesWhatCannotWork) {
  using testing::HasSubstr;
  EXPECT_THAT(refusal({0, 6, {2, 2}}), HasSubstr("ConvTranspose2d: in_channels must be at least 1, got 0"));
  EXPECT_THAT(refusal({6, -1, {2, 2}}), HasSubstr("out_channels must be at least 1, got -1"));
  EXPECT_THAT(refusal({6, 6, {2, 0}}), HasSubstr("kernel must be at least 1, got 2 x 0"));
  EXPECT_THAT(refusal({6, 6, {2, 2}, {.stride = {0, 1}}}), HasSubstr("stride must be at least 1"));
  EXPECT_THAT(refusal({6, 6, {2, 2}, {.dilation = {1, 0}}}), HasSubstr("dilation must be at least 1"));
  EXPECT_THAT(refusal({6, 6, {2, 2}, {.padding = {0, 0, -1, 0}}}), HasSubstr("must not be negative"));
  EXPECT_THAT(refusal({6, 6, {2, 2}, {.groups = 0}}), HasSubstr("groups must be at least 1"));
  EXPECT_THAT(refusal({6, 4, {2, 2}, {.groups = 3}}),
              HasSubstr("groups must divide the channels; got 6 in, 4 out and 3 groups"));
  EXPECT_THAT(refusal({6, 6, {2, 2}, {.stride = {2, 2}, .output_padding = {0, 2}}}),
              HasSubstr("output_padding must be from 0 to the stride - 1, got 0 x 2 for stride 2 x 2"));
}

// Input channels come first in the weight, so that PyTorch's fan_in, which the default scheme and its bias
// draw from, is O / groups KH KW: here 3 * 4 * 2 = 24, and not C / groups KH KW = 96.
TEST(ConvTranspose2dLayer, ParametersAreThoseOfPyTorch) {
  kernels::manual_seed(5);
  const ConvTranspose2d layer({24, 6, {4, 2}, {.groups = 2}});
  const auto parameters = layer.parameters();
  ASSERT_EQ(parameters.size(), 2u);
  EXPECT_EQ(parameters[0].first, "weight");
  EXPECT_EQ(parameters[0].second.shape(), (Shape{24, 3, 4, 2}));
  EXPECT_EQ(parameters[1].first, "bias");
  EXPECT_EQ(parameters[1].second.shape(), (Shape{6}));
  const float bound = 1 / std::sqrt(24.0f);
  float largest = 0;
  for (const float w : parameters[0].second.values<float>()) largest = std::max(largest, std::abs(w));
  EXPECT_LE(largest, bound);
  EXPECT_GT(largest, 0.9f * bound);  // of 576 draws, one in ten is beyond this
  for (const float b : parameters[1].second.values<float>()) EXPECT_LE(std::abs(b), bound);
  EXPECT_EQ(ConvTranspose2d({2, 3, {1, 1}, {}, false}).parameters().size(), 1u);
}

TEST(ConvTranspose2dLayer, UsesItsParameters) {
  ConvTranspose2d layer({4, 6, {3, 2}, {.stride = {2, 3}, .padding = {1, 0, 0, 1}, .groups = 2}});
  const Tensor x = random_tensor({2, 4, 5, 3}, 0, DType::F32, -1, 1), y = layer(x);
  const auto parameters = layer.parameters();
  EXPECT_EQ(y.shape(), (Shape{2, 6, 10, 7}));
  EXPECT_EQ(y.values<float>(),
            functional::conv_transpose2d(x, parameters[0].second, parameters[1].second,
                                         {.stride = {2, 3}, .padding = {1, 0, 0, 1}, .groups = 2})
                .values<float>());
}

}  // namespace
}  // namespace dlcuda

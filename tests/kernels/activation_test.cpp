#include "dlcuda/kernels/activation.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "dlcuda/core/error.h"
#include "dlcuda/tests/support/reference.h"

namespace dlcuda::testing {
namespace {

using kernels::Activation;
using kernels::ActivationParams;

TEST(Activation, MatchesPyTorch) {
  for (const ReferenceCase& c : reference_cases("activation")) {
    const ActivationParams params{static_cast<Activation>(int(c.value("kind"))), float(c.value("slope"))};
    for (const Variant& v : variants(c.tensor("x").rank() == 4)) {
      SCOPED_TRACE(c.name() + " " + to_string(v));
      const Tensor y = kernels::activation_forward(c.tensor("x", v), params);
      expect_close(y, c.tensor("y"));
      // From the stored output, so that rounding of y to 16 bits is not multiplied by the slope once more.
      const Tensor saved = v.dtype == DType::F64 ? y : c.tensor("y", v);
      const Tensor dx = kernels::activation_backward(c.tensor("dy", v), saved, params);
      // 1 - y^2 and y (1 - y) cancel where |y| is near 1: the error is that of y itself, times dy (at most
      // 2).
      const Tolerance t = tolerance(v.dtype);
      expect_close(dx, c.tensor("dx"), Tolerance{t.relative, t.absolute + 4 * t.relative});
    }
  }
}

TEST(Activation, NanAndInfinityPass) {
  constexpr float kInf = std::numeric_limits<float>::infinity(),
                  kNan = std::numeric_limits<float>::quiet_NaN();
  for (const Device device : test_devices()) {
    SCOPED_TRACE(to_string(device));
    const Tensor x = Tensor::from_values<float>({kNan, kInf, -kInf}, Shape{3}, device);
    const auto run = [&](Activation kind) {
      return kernels::activation_forward(x, {kind, 0.1f}).values<float>();
    };
    for (const Activation kind :
         {Activation::Sigmoid, Activation::Tanh, Activation::Relu, Activation::LeakyRelu}) {
      EXPECT_TRUE(std::isnan(run(kind)[0])) << int(kind);
    }
    EXPECT_EQ(run(Activation::Sigmoid)[1], 1.0f);
    EXPECT_EQ(run(Activation::Sigmoid)[2], 0.0f);
    EXPECT_EQ(run(Activation::Tanh)[2], -1.0f);
    EXPECT_EQ(run(Activation::Relu)[1], kInf);
    EXPECT_EQ(run(Activation::Relu)[2], 0.0f);
  }
}

TEST(Activation, RefusesWhatDoesNotFit) {
  const Tensor x = Tensor::zeros(Shape{2, 3}), integers = Tensor::zeros(Shape{2, 3}, DType::I32);
  EXPECT_THROW(kernels::activation_forward(integers, {}), DTypeError);
  EXPECT_THROW(kernels::activation_forward(Tensor(), {}), Error);
  EXPECT_THROW(kernels::activation_forward(Tensor::zeros(Shape{2, 4, 2, 2}).channel_slice(0, 2), {}),
               ShapeError);
  EXPECT_THROW(kernels::activation_forward(x, {Activation::LeakyRelu, -0.5f}), ArgumentError);
  EXPECT_THROW(kernels::activation_backward(x, Tensor::zeros(Shape{3, 2}), {}), ShapeError);
  EXPECT_THROW(kernels::activation_backward(x, Tensor::zeros(Shape{2, 3}, DType::F64), {}), DTypeError);
  try {
    kernels::activation_backward(
        Tensor::zeros(Shape{1, 2, 3, 3}),
        Tensor::zeros(Shape{1, 2, 3, 3}, DType::F32, Device::cpu(), MemoryFormat::ChannelsLast), {});
    FAIL() << "formats that differ passed";
  } catch (const ShapeError& error) {
    EXPECT_STREQ(
        error.what(),
        "activation_backward: y is channels-last and dy is contiguous; convert one with kernels::to_format");
  }
}

}  // namespace
}  // namespace dlcuda::testing

#include "dlcuda/kernels/conv2d.h"

#include <gtest/gtest.h>

#include "dlcuda/core/error.h"
#include "dlcuda/kernels/copy.h"
#include "dlcuda/kernels/random.h"
#include "dlcuda/tests/support/reference.h"

namespace dlcuda::testing {
namespace {

using kernels::Conv2dParams;

Conv2dParams params_of(const ReferenceCase& c) {
  Conv2dParams params;
  for (int i = 0; i < 2; ++i) {
    params.stride[i] = std::int64_t(c.values("stride")[i]);
    params.dilation[i] = std::int64_t(c.values("dilation")[i]);
  }
  for (int i = 0; i < 4; ++i) params.padding[i] = std::int64_t(c.values("padding")[i]);
  params.groups = std::int64_t(c.value("groups"));
  return params;
}

TEST(Conv2d, MatchesPyTorch) {
  for (const ReferenceCase& c : reference_cases("conv2d")) {
    const Conv2dParams params = params_of(c);
    const bool with_bias = c.has("bias");
    for (const Variant& v : variants(true)) {
      SCOPED_TRACE(c.name() + " " + to_string(v));
      const Tensor x = c.tensor("x", v), dy = c.tensor("dy", v);
      const Tensor weight = kernels::contiguous(c.tensor("weight", v));
      const Tensor y = kernels::conv2d_forward(x, weight, with_bias ? c.tensor("bias", v) : Tensor(), params);
      EXPECT_EQ(y.format(), v.format);
      // Sums of up to 400 products between -4.2 and 4.2 cancel, so their rounding is absolute: that of the
      // partial sums.
      const Tolerance t = tolerance(v.dtype), summed{t.relative, t.absolute + 20 * t.relative};
      expect_close(y, c.tensor("y"), summed);
      expect_close(kernels::conv2d_backward_data(dy, weight, x.shape(), params), c.tensor("dx"), summed);
      const auto gradients = kernels::conv2d_backward_weight(x, dy, weight.shape(), params, with_bias);
      expect_close(gradients.weight, c.tensor("dweight"), summed);
      if (with_bias) expect_close(gradients.bias, c.tensor("dbias"), summed);
    }
  }
}

/// Small integers: every partial sum is exact, so that f32 must equal the f64 reference to the bit.
Tensor integers(const Shape& shape, std::uint32_t ordinal) {
  Tensor x = Tensor::empty(shape, DType::F64);
  kernels::fill_uniform(x, -4, 5, {7, ordinal, Tensor::zeros(Shape{1}, DType::I64)});
  return kernels::cast(kernels::cast(x, DType::I32), DType::F32);
}

TEST(Conv2d, LibrariesEqualTheReferenceOnIntegers) {
  struct Config {
    Shape x, weight;
    Conv2dParams params;
  };
  const Config configs[] = {
      {Shape{1, 1, 1, 1}, Shape{1, 1, 1, 1}, {}},
      {Shape{2, 31, 9, 9}, Shape{33, 31, 3, 3}, {{1, 1}, {1, 1, 1, 1}, {1, 1}, 1}},
      {Shape{1, 33, 6, 7}, Shape{31, 33, 1, 1}, {}},
      {Shape{1, 257, 3, 3}, Shape{1, 257, 3, 3}, {}},
      {Shape{1, 1, 33, 31}, Shape{257, 1, 5, 5}, {{2, 3}, {2, 2, 2, 2}, {1, 1}, 1}},
      {Shape{3, 8, 11, 12}, Shape{8, 1, 3, 3}, {{2, 2}, {0, 1, 1, 0}, {1, 1}, 8}},
      {Shape{2, 6, 14, 14}, Shape{16, 6, 5, 5}, {}},
      {Shape{2, 12, 10, 10}, Shape{9, 4, 3, 2}, {{1, 2}, {3, 2, 1, 0}, {2, 3}, 3}},
  };
  for (const Config& config : configs) {
    const Tensor x = integers(config.x, 0), weight = integers(config.weight, 1);
    const Tensor bias = integers(Shape{config.weight[0]}, 2);
    const Shape out = kernels::conv2d_shape(config.x, config.weight, config.params);
    const Tensor dy = integers(out, 3);
    const auto wide = [](const Tensor& t) { return kernels::cast(t, DType::F64); };
    const Tensor y = kernels::conv2d_forward(wide(x), wide(weight), wide(bias), config.params);
    const Tensor dx = kernels::conv2d_backward_data(wide(dy), wide(weight), config.x, config.params);
    const auto dw = kernels::conv2d_backward_weight(wide(x), wide(dy), config.weight, config.params, true);
    for (const Device device : test_devices()) {
      for (const MemoryFormat format : {MemoryFormat::Contiguous, MemoryFormat::ChannelsLast}) {
        SCOPED_TRACE(to_string(config.x) + to_string(config.weight) + " " + to_string(device) + " " +
                     to_string(format));
        const auto on = [&](const Tensor& t) {
          return (t.rank() == 4 ? kernels::to_format(t, format) : t).to(device);
        };
        const Tensor w = weight.to(device);
        const Tolerance exact{0, 0};
        expect_close(kernels::conv2d_forward(on(x), w, on(bias), config.params), y, exact);
        expect_close(kernels::conv2d_backward_data(on(dy), w, config.x, config.params), dx, exact);
        const auto gradients =
            kernels::conv2d_backward_weight(on(x), on(dy), config.weight, config.params, true);
        expect_close(gradients.weight, dw.weight, exact);
        expect_close(gradients.bias, dw.bias, exact);
      }
    }
  }
}

TEST(Conv2d, EmptyBatch) {
  for (const Device device : test_devices()) {
    const Tensor x = Tensor::empty(Shape{0, 3, 8, 8}, DType::F32, device),
                 weight = Tensor::zeros(Shape{4, 3, 3, 3}, DType::F32, device);
    const Tensor y = kernels::conv2d_forward(x, weight, {}, {});
    EXPECT_EQ(y.shape(), (Shape{0, 4, 6, 6}));
    const auto gradients = kernels::conv2d_backward_weight(x, y, weight.shape(), {}, true);
    EXPECT_EQ(gradients.weight.values<float>(), std::vector<float>(108, 0.0f));
    EXPECT_EQ(gradients.bias.values<float>(), std::vector<float>(4, 0.0f));
    EXPECT_EQ(kernels::conv2d_backward_data(y, weight, x.shape(), {}).numel(), 0);
  }
}

TEST(Conv2d, RefusesWhatDoesNotFit) {
  const Tensor x = Tensor::zeros(Shape{1, 3, 8, 8}), weight = Tensor::zeros(Shape{4, 3, 3, 3});
  EXPECT_THROW(kernels::conv2d_forward(Tensor::zeros(Shape{3, 8, 8}), weight, {}, {}), ShapeError);
  EXPECT_THROW(kernels::conv2d_forward(x, Tensor::zeros(Shape{4, 3, 9, 3}), {}, {}), ShapeError);
  EXPECT_THROW(kernels::conv2d_forward(x, weight, Tensor::zeros(Shape{3}), {}), ShapeError);
  EXPECT_THROW(kernels::conv2d_forward(x, Tensor::zeros(Shape{4, 3, 3, 3}, DType::F64), {}, {}), DTypeError);
  EXPECT_THROW(kernels::conv2d_forward(x, weight, {}, {{0, 1}, {}, {1, 1}, 1}), ArgumentError);
  EXPECT_THROW(kernels::conv2d_forward(x, weight, {}, {{1, 1}, {-1, 0, 0, 0}, {1, 1}, 1}), ArgumentError);
  EXPECT_THROW(kernels::conv2d_forward(x, weight, {}, {{1, 1}, {}, {1, 1}, 3}), ShapeError);
  EXPECT_THROW(kernels::conv2d_backward_data(x, weight, x.shape(), {}), ShapeError);
  EXPECT_THROW(kernels::conv2d_backward_weight(x, x, weight.shape(), {}, true), ShapeError);
  try {
    kernels::conv2d_forward(x, Tensor::zeros(Shape{4, 5, 3, 3}), {}, {});
    FAIL() << "channels that differ passed";
  } catch (const ShapeError& error) {
    EXPECT_STREQ(error.what(), "conv2d: x has 3 channels, weight [4, 5, 3, 3] with 1 group(s) expects 5");
  }
}

}  // namespace
}  // namespace dlcuda::testing

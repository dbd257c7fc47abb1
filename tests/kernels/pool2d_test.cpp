#include "dlcuda/kernels/pool2d.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "dlcuda/core/error.h"
#include "dlcuda/kernels/copy.h"
#include "dlcuda/tests/support/reference.h"

namespace dlcuda::testing {
namespace {

using kernels::Pool2dParams;

Pool2dParams params_of(const ReferenceCase& c) {
  Pool2dParams params;
  for (int i = 0; i < 2; ++i) {
    params.kernel[i] = std::int64_t(c.values("kernel")[i]);
    params.stride[i] = std::int64_t(c.values("stride")[i]);
    params.padding[i] = std::int64_t(c.values("padding")[i]);
  }
  params.count_include_pad = c.value("count_include_pad") != 0;
  return params;
}

TEST(AvgPool2d, MatchesPyTorch) {
  for (const ReferenceCase& c : reference_cases("avg_pool2d")) {
    const Pool2dParams params = params_of(c);
    for (const Variant& v : variants(true)) {
      SCOPED_TRACE(c.name() + " " + to_string(v));
      // Windows of up to 25 values that cancel, each below 2.1: one rounding of the partial sums.
      const Tolerance t = tolerance(v.dtype), summed{t.relative, t.absolute + 2 * t.relative};
      const Tensor x = c.tensor("x", v), y = kernels::avg_pool2d_forward(x, params);
      EXPECT_EQ(y.format(), v.format);
      expect_close(y, c.tensor("y"), summed);
      expect_close(kernels::avg_pool2d_backward(c.tensor("dy", v), x.shape(), params), c.tensor("dx"),
                   summed);
    }
  }
}

TEST(MaxPool2d, MatchesPyTorch) {
  for (const ReferenceCase& c : reference_cases("max_pool2d")) {
    const Pool2dParams params = params_of(c);
    for (const Variant& v : variants(true)) {
      SCOPED_TRACE(c.name() + " " + to_string(v));
      const Tensor x = c.tensor("x", v);
      const auto [y, indices] = kernels::max_pool2d_forward(x, params);
      expect_close(y, c.tensor("y"), Tolerance{0, 0});
      EXPECT_EQ(as_doubles(indices), as_doubles(c.tensor("indices")));
      const Tolerance t = tolerance(v.dtype);
      expect_close(kernels::max_pool2d_backward(c.tensor("dy", v), indices, x.shape(), params),
                   c.tensor("dx"),
                   // 16-bit sums of overlapping windows round at each addition.
                   Tolerance{t.relative, t.absolute + 2 * t.relative});
    }
  }
}

TEST(MaxPool2d, TiesAndNan) {
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  const Pool2dParams params;
  for (const Device device : test_devices()) {
    const Tensor x = Tensor::from_values<float>({5, 5, 1, kNan, 5, 5, 2, 3}, Shape{1, 1, 2, 4}, device);
    const auto [y, indices] = kernels::max_pool2d_forward(x, params);
    EXPECT_EQ(y.values<float>()[0], 5.0f);
    EXPECT_TRUE(std::isnan(y.values<float>()[1]));
    EXPECT_EQ(indices.values<std::int32_t>(), (std::vector<std::int32_t>{0, 3}));
  }
}

TEST(Pool2d, RefusesWhatDoesNotFit) {
  const Tensor x = Tensor::zeros(Shape{1, 1, 4, 4});
  EXPECT_THROW(kernels::avg_pool2d_forward(Tensor::zeros(Shape{4, 4}), {}), ShapeError);
  EXPECT_THROW(kernels::avg_pool2d_forward(x, {{5, 5}, {1, 1}, {0, 0}, true}), ShapeError);
  EXPECT_THROW(kernels::avg_pool2d_forward(x, {{2, 2}, {0, 1}, {0, 0}, true}), ArgumentError);
  EXPECT_THROW(kernels::max_pool2d_forward(x, {{2, 2}, {2, 2}, {2, 2}, true}), ArgumentError);
  EXPECT_THROW(kernels::avg_pool2d_backward(x, Shape{1, 1, 4, 4}, {}), ShapeError);
  const Tensor dy = Tensor::zeros(Shape{1, 1, 2, 2});
  EXPECT_THROW(kernels::max_pool2d_backward(dy, dy, Shape{1, 1, 4, 4}, {}), DTypeError);
}

}  // namespace
}  // namespace dlcuda::testing

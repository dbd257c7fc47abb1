#include "dlcuda/kernels/bias.h"

#include <gtest/gtest.h>

#include "dlcuda/core/error.h"
#include "dlcuda/tests/support/reference.h"

namespace dlcuda::testing {
namespace {

TEST(Bias, MatchesPyTorch) {
  for (const ReferenceCase& c : reference_cases("bias_add")) {
    for (const Variant& v : variants(c.tensor("x").rank() == 4)) {
      SCOPED_TRACE(c.name() + " " + to_string(v));
      expect_close(kernels::bias_add(c.tensor("x", v), c.tensor("bias", v)), c.tensor("y"));
      expect_close(kernels::bias_backward(c.tensor("dy", v)), c.tensor("dbias"));
    }
  }
}

TEST(Bias, RefusesWhatDoesNotFit) {
  const Tensor x = Tensor::zeros(Shape{2, 3});
  EXPECT_THROW(kernels::bias_add(x, Tensor::zeros(Shape{2})), ShapeError);
  EXPECT_THROW(kernels::bias_add(x, Tensor::zeros(Shape{3}, DType::F64)), DTypeError);
  EXPECT_THROW(kernels::bias_add(Tensor::zeros(Shape{3}), Tensor::zeros(Shape{3})), ShapeError);
  EXPECT_THROW(kernels::bias_backward(Tensor::zeros(Shape{3})), ShapeError);
}

}  // namespace
}  // namespace dlcuda::testing

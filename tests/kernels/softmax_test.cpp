#include "dlcuda/kernels/softmax.h"

#include <gtest/gtest.h>

#include "dlcuda/core/error.h"
#include "dlcuda/tests/support/reference.h"

namespace dlcuda::testing {
namespace {

TEST(Softmax, MatchesPyTorch) {
  for (const ReferenceCase& c : reference_cases("softmax")) {
    for (const Variant& v : variants(false)) {
      SCOPED_TRACE(c.name() + " " + to_string(v));
      const Tensor y = kernels::softmax_forward(c.tensor("x", v));
      expect_close(y, c.tensor("y"));
      // dy - sum(dy * y) cancels: the error is y's, times dy (at most 2) and summed over the row.
      const Tolerance t = tolerance(v.dtype);
      expect_close(kernels::softmax_backward(c.tensor("dy", v), c.tensor("y", v)), c.tensor("dx"),
                   Tolerance{t.relative, t.absolute + 2 * t.relative});
    }
  }
}

TEST(Softmax, LargeInputsAndEmptyRows) {
  for (const Device device : test_devices()) {
    const Tensor x = Tensor::from_values<float>({1e4f, -1e4f, -1e4f, -1e4f}, Shape{2, 2}, device);
    EXPECT_EQ(kernels::softmax_forward(x).values<float>(), (std::vector<float>{1, 0, 0.5f, 0.5f}));
    EXPECT_EQ(kernels::softmax_forward(Tensor::empty(Shape{0, 3}, DType::F32, device)).shape(),
              (Shape{0, 3}));
    EXPECT_EQ(kernels::softmax_forward(Tensor::empty(Shape{3, 0}, DType::F32, device)).shape(),
              (Shape{3, 0}));
  }
}

TEST(Softmax, RefusesWhatDoesNotFit) {
  EXPECT_THROW(kernels::softmax_forward(Tensor::zeros(Shape{})), ShapeError);
  EXPECT_THROW(kernels::softmax_forward(Tensor::zeros(Shape{2}, DType::I64)), DTypeError);
  EXPECT_THROW(kernels::softmax_backward(Tensor::zeros(Shape{2}), Tensor::zeros(Shape{3})), ShapeError);
}

}  // namespace
}  // namespace dlcuda::testing

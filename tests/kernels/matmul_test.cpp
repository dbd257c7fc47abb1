#include "dlcuda/kernels/matmul.h"

#include <gtest/gtest.h>

#include "dlcuda/kernels/copy.h"
#include "dlcuda/tests/support/compare.h"
#include "dlcuda/tests/support/random_tensor.h"

namespace dlcuda::testing {
namespace {

TEST(Matmul, LibrariesEqualTheReferenceOnIntegers) {
  for (const auto& [m, k, n] : {std::array{1, 1, 1}, std::array{31, 33, 257}, std::array{257, 1, 33},
                                std::array{64, 400, 120}, std::array{1, 257, 31}}) {
    const Tensor a = random_integers(Shape{m, k}, 0), b = random_integers(Shape{k, n}, 1),
                 bias = random_integers(Shape{n}, 2);
    const Tensor expected = kernels::matmul(a, b, bias);
    for (const Device device : test_devices()) {
      SCOPED_TRACE(to_string(device) + to_string(a.shape()) + to_string(b.shape()));
      const auto on = [&](const Tensor& t) { return kernels::cast(t, DType::F32).to(device); };
      expect_close(kernels::matmul(on(a), on(b), on(bias)), expected, Tolerance{0, 0});
    }
  }
}

TEST(Matmul, EmptySides) {
  for (const Device device : test_devices()) {
    const auto zeros = [&](const Shape& shape) { return Tensor::zeros(shape, DType::F32, device); };
    EXPECT_EQ(kernels::matmul(zeros(Shape{0, 3}), zeros(Shape{3, 2})).shape(), (Shape{0, 2}));
    const Tensor bias = Tensor::from_values<float>({1, 2}, Shape{2}, device);
    EXPECT_EQ(kernels::matmul(zeros(Shape{2, 0}), zeros(Shape{0, 2}), bias).values<float>(),
              (std::vector<float>{1, 2, 1, 2}));
    EXPECT_EQ(kernels::matmul(zeros(Shape{1, 0}), zeros(Shape{0, 2})).values<float>(),
              (std::vector<float>{0, 0}));
  }
}

}  // namespace
}  // namespace dlcuda::testing

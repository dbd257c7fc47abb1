#include "dlcuda/kernels/reduce.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "dlcuda/core/error.h"
#include "dlcuda/core/parallel.h"
#include "dlcuda/kernels/copy.h"
#include "dlcuda/kernels/random.h"
#include "dlcuda/tests/support/reference.h"

namespace dlcuda::testing {
namespace {

using kernels::Reduction;

TEST(Reduce, MatchesPyTorch) {
  for (const ReferenceCase& c : reference_cases("reduce")) {
    const auto reduction = static_cast<Reduction>(int(c.value("reduction")));
    std::optional<int> axis;
    if (c.has_parameter("axis")) axis = int(c.value("axis"));
    for (const Variant& v : variants(false)) {
      SCOPED_TRACE(c.name() + " " + to_string(v));
      const Tensor x = kernels::contiguous(c.tensor("x", v));
      // Sums of up to 5000 values that cancel: the error is that of partial sums of about sqrt(5000) * 1.2.
      const Tolerance t = tolerance(v.dtype), summed{t.relative, t.absolute + 100 * t.relative};
      expect_close(kernels::reduce(x, reduction, axis), c.tensor("y"),
                   reduction == Reduction::Max ? Tolerance{0, 0} : summed);
      if (c.has("dx")) {
        const Tensor dy = kernels::contiguous(c.tensor("dy", v));
        expect_close(kernels::reduce_backward(dy, x.shape(), reduction, axis), c.tensor("dx"));
      }
    }
  }
}

TEST(Argmax, TakesTheFirstOfEquals) {
  for (const ReferenceCase& c : reference_cases("argmax")) {
    for (const Variant& v : variants(false)) {
      SCOPED_TRACE(c.name() + " " + to_string(v));
      EXPECT_EQ(as_doubles(kernels::argmax(kernels::contiguous(c.tensor("x", v)), int(c.value("axis")))),
                as_doubles(c.tensor("y")));
    }
  }
}

TEST(Reduce, SameBitsForEveryThreadCount) {
  Tensor x = Tensor::empty(Shape{100003});
  kernels::fill_uniform(x, -1, 1, kernels::Generator(3, RandomDomain::Dropout, Device::cpu()).next_call());
  const int threads = num_threads();
  const float expected = kernels::reduce(x, Reduction::Sum).item<float>();
  for (const int count : {1, 2, 3, 7}) {
    set_num_threads(count);
    EXPECT_EQ(kernels::reduce(x, Reduction::Sum).item<float>(), expected);
  }
  set_num_threads(threads);
}

TEST(Reduce, EmptyAndNan) {
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  for (const Device device : test_devices()) {
    const Tensor none = Tensor::empty(Shape{0}, DType::F32, device);
    EXPECT_EQ(kernels::reduce(none, Reduction::Sum).item<float>(), 0.0f);
    EXPECT_TRUE(std::isnan(kernels::reduce(none, Reduction::Mean).item<float>()));
    EXPECT_THROW(kernels::reduce(none, Reduction::Max), ShapeError);
    EXPECT_THROW(kernels::argmax(none, 0), ShapeError);
    EXPECT_EQ(kernels::reduce(Tensor::empty(Shape{0, 3}, DType::F32, device), Reduction::Max, 1).numel(), 0);
    const Tensor x = Tensor::from_values<float>({1, kNan, 3}, Shape{3}, device);
    EXPECT_TRUE(std::isnan(kernels::reduce(x, Reduction::Max).item<float>()));
    EXPECT_EQ(kernels::argmax(x, 0).item<std::int64_t>(), 1);
  }
}

TEST(Reduce, RefusesWhatDoesNotFit) {
  const Tensor x = Tensor::zeros(Shape{2, 3});
  EXPECT_THROW(kernels::reduce(x, Reduction::Sum, 2), ShapeError);
  EXPECT_THROW(kernels::reduce(x, Reduction::Sum, -3), ShapeError);
  EXPECT_THROW(kernels::reduce(Tensor::zeros(Shape{2}, DType::I32), Reduction::Sum), DTypeError);
  EXPECT_THROW(kernels::reduce_backward(x, Shape{2, 3, 4}, Reduction::Max, 2), ArgumentError);
  EXPECT_THROW(kernels::reduce_backward(x, Shape{2, 4, 4}, Reduction::Sum, 2), ShapeError);
}

}  // namespace
}  // namespace dlcuda::testing

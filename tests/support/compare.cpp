#include "dlcuda/tests/support/compare.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "dlcuda/kernels/copy.h"

namespace dlcuda::testing {
Tolerance tolerance(DType dtype) {
  switch (dtype) {
    case DType::F64:
      return {1e-7, 1e-7};
    case DType::F16:
      return {1e-3, 1e-5};
    case DType::BF16:
      return {1.6e-2, 1e-5};
    default:
      return {1.3e-6, 1e-5};
  }
}

std::vector<double> as_doubles(const Tensor& x) {
  return kernels::cast(x.to(Device::cpu()).detach(), DType::F64).values<double>();
}

void expect_close(const Tensor& actual, const Tensor& expected, double widen) {
  const Tolerance t = tolerance(actual.dtype());
  expect_close(actual, expected, Tolerance{t.relative * widen, t.absolute * widen});
}

void expect_close(const Tensor& actual, const Tensor& expected, const Tolerance& allowed) {
  ASSERT_EQ(actual.shape(), expected.shape())
      << to_string(actual.shape()) << " and " << to_string(expected.shape());
  const auto a = as_doubles(actual), e = as_doubles(expected);
  std::size_t wrong = 0, first = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const bool same = a[i] == e[i] || (std::isnan(a[i]) && std::isnan(e[i])) ||
                      std::abs(a[i] - e[i]) <= allowed.absolute + allowed.relative * std::abs(e[i]);
    if (!same && wrong++ == 0) first = i;
  }
  EXPECT_EQ(wrong, 0u) << wrong << " of " << a.size() << " elements differ; the first, " << first << ": got "
                       << a[first] << ", expected " << e[first];
}

double relative_distance(const Tensor& actual, const Tensor& expected) {
  const auto a = as_doubles(actual), e = as_doubles(expected);
  EXPECT_EQ(actual.shape(), expected.shape());
  if (a.size() != e.size()) return std::numeric_limits<double>::infinity();
  double difference = 0, norm = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    difference += (a[i] - e[i]) * (a[i] - e[i]);
    norm += e[i] * e[i];
  }
  return difference == 0 ? 0 : std::sqrt(difference / norm);
}

}  // namespace dlcuda::testing

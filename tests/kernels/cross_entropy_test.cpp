#include "dlcuda/kernels/cross_entropy.h"

#include <gtest/gtest.h>

#include <cmath>

#include "dlcuda/core/error.h"
#include "dlcuda/kernels/copy.h"
#include "dlcuda/tests/support/reference.h"

namespace dlcuda::testing {
namespace {

TEST(CrossEntropy, MatchesPyTorch) {
  for (const ReferenceCase& c : reference_cases("cross_entropy")) {
    for (const Variant& v : variants(false)) {
      SCOPED_TRACE(c.name() + " " + to_string(v));
      const Tensor logits = c.tensor("logits", v), labels = c.tensor("labels").to(v.device);
      const auto out = kernels::cross_entropy_forward(logits, labels);
      expect_close(out.loss, c.tensor("y"));
      const Tensor dloss = kernels::cast(c.tensor("dy"), out.loss.dtype()).to(v.device);
      const Tensor dlogits = kernels::cross_entropy_backward(dloss, logits, labels, out.log_sum_exp);
      expect_close(dlogits, c.tensor("dlogits"));

      Tensor metrics = Tensor::zeros(Shape{3}, DType::F64, v.device);
      for (int i = 0; i < 2; ++i) kernels::classification_metrics(logits, labels, out.loss, metrics);
      const auto figures = metrics.values<double>();
      const double rows = double(logits.size(0));
      EXPECT_NEAR(figures[0], 2 * rows * as_doubles(c.tensor("y"))[0], 1e-4 * (1 + std::abs(figures[0])));
      EXPECT_EQ(figures[1], 2 * c.value("correct"));
      EXPECT_EQ(figures[2], 2 * rows);
    }
  }
}

TEST(CrossEntropy, LabelsOutOfRange) {
  const Tensor logits = Tensor::zeros(Shape{3, 10});
  for (const std::int64_t bad : {-1, 10}) {
    const Tensor labels = Tensor::from_values<std::int64_t>({0, bad, 9}, Shape{3});
    try {
      kernels::cross_entropy_forward(logits, labels);
      FAIL() << "a bad label passed";
    } catch (const ArgumentError& error) {
      EXPECT_EQ(error.what(), "cross_entropy: the label of row 1 is " + std::to_string(bad) +
                                  ", expected 0 to 9 (10 classes)");
    }
    if (cuda_for_test().available) {
      const Device cuda = Device::cuda();
      const auto out = kernels::cross_entropy_forward(logits.to(cuda), labels.to(cuda));
      EXPECT_TRUE(std::isnan(out.loss.item<float>()));
    }
  }
}

TEST(CrossEntropy, RefusesWhatDoesNotFit) {
  const Tensor logits = Tensor::zeros(Shape{3, 10}), labels = Tensor::zeros(Shape{3}, DType::I64);
  EXPECT_THROW(kernels::cross_entropy_forward(Tensor::zeros(Shape{3}), labels), ShapeError);
  EXPECT_THROW(
      kernels::cross_entropy_forward(Tensor::zeros(Shape{0, 10}), Tensor::zeros(Shape{0}, DType::I64)),
      ShapeError);
  EXPECT_THROW(kernels::cross_entropy_forward(logits, Tensor::zeros(Shape{2}, DType::I64)), ShapeError);
  EXPECT_THROW(kernels::cross_entropy_forward(logits, Tensor::zeros(Shape{3}, DType::I32)), DTypeError);
  Tensor metrics = Tensor::zeros(Shape{3});
  EXPECT_THROW(kernels::classification_metrics(logits, labels, Tensor::scalar(1.0f), metrics), DTypeError);
}

}  // namespace
}  // namespace dlcuda::testing

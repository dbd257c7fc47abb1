#include "dlcuda/kernels/confusion.h"

#include <gtest/gtest.h>

#include "dlcuda/core/error.h"
#include "dlcuda/tests/support/devices.h"

namespace dlcuda::testing {
namespace {

// Few classes are counted in shared memory on CUDA, many are not; the rows of 4,097 need several blocks.
TEST(Confusion, CountsPairsOfClassesAndAddsUp) {
  for (const auto& [rows, classes] :
       {std::pair<std::int64_t, std::int64_t>{1, 1}, {37, 3}, {4097, 5}, {300, 70}}) {
    std::vector<std::int64_t> labels, predictions, expected(std::size_t(classes * classes));
    for (std::int64_t r = 0; r < rows; ++r) {
      labels.push_back(r * 7 % (classes + 2) - 1);  // -1 and `classes` are none
      predictions.push_back(r * r % 11 == 10 ? classes : r * 13 % classes);
      const bool counts = labels.back() >= 0 && labels.back() < classes && predictions.back() < classes;
      if (counts) expected[std::size_t(labels.back() * classes + predictions.back())] += 2;
    }
    for (const Device device : test_devices()) {
      SCOPED_TRACE(to_string(device) + ", " + std::to_string(rows) + " rows");
      const Tensor said = Tensor::from_values(predictions, {rows, 1}, device),
                   truth = Tensor::from_values(labels, {rows, 1}, device);
      Tensor counts = Tensor::zeros({classes, classes}, DType::I64, device);
      Tensor metrics = Tensor::zeros({2}, DType::F64, device);
      for (const float loss : {0.5f, 2.0f}) {
        kernels::confusion_metrics(said, truth, Tensor::scalar(loss, device), counts, metrics);
      }
      EXPECT_EQ(counts.values<std::int64_t>(), expected);
      EXPECT_EQ(metrics.values<double>(), (std::vector<double>{2.5 * double(rows), 2.0 * double(rows)}));
    }
  }
}

TEST(Confusion, TakesNoRowsAndLossesInF64) {
  Tensor counts = Tensor::zeros({2, 2}, DType::I64), metrics = Tensor::zeros({2}, DType::F64);
  const Tensor none = Tensor::zeros({3, 0}, DType::I64);
  kernels::confusion_metrics(none, none, Tensor::scalar(0.1), counts, metrics);
  EXPECT_EQ(counts.values<std::int64_t>(), std::vector<std::int64_t>(4, 0));
  EXPECT_EQ(metrics.values<double>(), (std::vector<double>{3 * 0.1, 3}));
}

TEST(Confusion, RefusesWhatDoesNotFitTogether) {
  const Tensor rows = Tensor::zeros({4}, DType::I64), loss = Tensor::scalar(1.0f);
  Tensor counts = Tensor::zeros({2, 2}, DType::I64), metrics = Tensor::zeros({2}, DType::F64);
  const auto run = [&](const Tensor& labels, const Tensor& mean, Tensor into, Tensor sums) {
    kernels::confusion_metrics(rows, labels, mean, into, sums);
  };
  EXPECT_THROW(run(Tensor::zeros({5}, DType::I64), loss, counts, metrics), ShapeError);
  EXPECT_THROW(run(Tensor::zeros({4}), loss, counts, metrics), DTypeError);
  EXPECT_THROW(run(rows, Tensor::zeros({1}), counts, metrics), ShapeError);
  EXPECT_THROW(run(rows, Tensor::zeros(Shape{}, DType::BF16), counts, metrics), DTypeError);
  EXPECT_THROW(run(rows, loss, Tensor::zeros({2, 3}, DType::I64), metrics), ShapeError);
  EXPECT_THROW(run(rows, loss, Tensor::zeros({2, 2}), metrics), DTypeError);
  EXPECT_THROW(run(rows, loss, counts, Tensor::zeros({3}, DType::F64)), ShapeError);
}

}  // namespace
}  // namespace dlcuda::testing

#include "dlcuda/kernels/cross_entropy.h"

#include <gtest/gtest.h>

#include <cmath>

#include "dlcuda/core/error.h"
#include "dlcuda/kernels/update.h"
#include "dlcuda/tests/support/compare.h"

namespace dlcuda::testing {
namespace {

std::string message_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const ArgumentError& error) {
    return error.what();
  }
  return "nothing was thrown";
}

TEST(CrossEntropy, MetricsCountTheFirstLargestLogit) {
  for (const Device device : test_devices()) {
    const Tensor logits =
        Tensor::from_values<float>({1, 3, 3, /**/ 0, 0, 0, /**/ 5, 1, 2, /**/ 1, 2, 9}, Shape{4, 3}, device);
    const Tensor labels = Tensor::from_values<std::int64_t>({1, 2, 0, 2}, Shape{4}, device);
    const Tensor loss = Tensor::scalar(0.5f, device);
    Tensor metrics = Tensor::zeros(Shape{3}, DType::F64, device);
    for (int i = 0; i < 2; ++i) kernels::classification_metrics(logits, labels, loss, metrics);
    EXPECT_EQ(metrics.values<double>(), (std::vector<double>{4, 6, 8}));
    Tensor wrong = Tensor::zeros(Shape{3}, DType::F32, device);
    EXPECT_THROW(kernels::classification_metrics(logits, labels, loss, wrong), DTypeError);
  }
}

TEST(CrossEntropy, ChecksLabelsOfABatch) {
  const Tensor labels = Tensor::from_values<std::int64_t>({0, 255, 9}, Shape{3});
  kernels::check_labels(labels, 10, 255);
  EXPECT_EQ(message_of([&] { kernels::check_labels(labels, 10); }),
            "cross_entropy: the label of row 1 is 255, expected 0 to 9 (10 classes)");
}

// On CUDA a bad label is noticed where nothing waits: until somebody reads, updates must do nothing.
TEST(CrossEntropy, ABadLabelHoldsUpdatesUpUntilItIsReported) {
  if (!cuda_for_test().available) GTEST_SKIP() << "no CUDA device";
  const Device gpu = Device::cuda();
  const Tensor lr = Tensor::from_values<float>({0.5f}, Shape{1}, gpu);
  Tensor step = Tensor::zeros(Shape{1}, DType::I64, gpu);
  const Tensor x = Tensor::from_values<float>({1, 2}, Shape{2}, gpu),
               slope = Tensor::from_values<float>({2, 2}, Shape{2}, gpu);
  const Tensor first = Tensor::zeros_like(x), second = Tensor::zeros_like(x);
  const kernels::UpdateTensors tensors{
      .parameter = x.raw(), .gradient = slope.raw(), .state1 = first.raw(), .state2 = second.raw()};
  const Tensor logits = Tensor::zeros(Shape{300, 4}, DType::F32, gpu);
  for (const std::int64_t bad : {std::int64_t{-1}, std::int64_t{4}, std::int64_t{1} << 40}) {
    std::vector<std::int64_t> labels(300, 3);
    labels[150] = bad;
    labels[151] = 77;  // the first of several is named
    kernels::cross_entropy_forward(logits, Tensor::from_values(labels, Shape{300}, gpu));
    kernels::cross_entropy_forward(logits, Tensor::zeros(Shape{300}, DType::I64, gpu));
    kernels::sgd_update(gpu, std::span(&tensors, 1), lr, {});
    kernels::adam_update(gpu, std::span(&tensors, 1), lr, step, {});
    EXPECT_EQ(
        message_of([&] { x.values<float>(); }),
        "cross_entropy: the label of row 150 is " + std::to_string(bad) + ", expected 0 to 3 (4 classes)");
    EXPECT_EQ(x.values<float>(), (std::vector<float>{1, 2})) << "changed by an update, or reported twice";
    EXPECT_EQ(first.values<float>(), (std::vector<float>{0, 0}));
    EXPECT_EQ(step.item<std::int64_t>(), 0);
  }
  kernels::sgd_update(gpu, std::span(&tensors, 1), lr, {});
  EXPECT_EQ(x.values<float>(), (std::vector<float>{0, 1})) << "updates go on after the report";
}

}  // namespace
}  // namespace dlcuda::testing

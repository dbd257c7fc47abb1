#include "dlcuda/models/yolov2/detection_task.h"

#include <gtest/gtest.h>

#include <cmath>

#include "dlcuda/core/autograd.h"
#include "dlcuda/core/captured_step.h"
#include "dlcuda/core/error.h"
#include "dlcuda/kernels/copy.h"
#include "dlcuda/kernels/layout.h"
#include "dlcuda/kernels/random.h"
#include "dlcuda/models/lenet5/lenet5.h"
#include "dlcuda/models/yolov2/yolov2.h"
#include "dlcuda/optim/optimizer.h"
#include "dlcuda/tests/support/devices.h"
#include "dlcuda/tests/support/errors.h"
#include "dlcuda/tests/support/random_tensor.h"

namespace dlcuda {
namespace {

/// Predicts the same for every picture: on a grid of 1 x 2 with one anchor of a whole cell and two classes,
/// an object of class 1 in the right cell, with an objectness of 3/4, and hardly anything in the left one.
class Fixed : public YoloDetector {
 public:
  Fixed() : YoloDetector(2, 8, {{1, 1}}) {
    std::vector<float> raw(14, 0.0f);
    raw[8] = -20;
    raw[9] = std::log(3.0f);
    raw[13] = 20;
    raw_ = Tensor::from_values(raw, {1, 7, 1, 2});
    register_buffer("raw", &raw_);
  }
  Tensor forward(const Tensor& x) override {
    std::vector<Tensor> pictures(std::size_t(x.size(0)), raw_);
    return kernels::concat(pictures, 0);
  }
  std::string describe() const override { return "Fixed"; }

 private:
  Tensor raw_;
};

/// Two pictures: in the first the object that Fixed finds, in the second one of the other class.
Batch two_pictures(Device device) {
  return {.images = Tensor::zeros({2, 3, 8, 16}, DType::F32, device),
          .labels = Tensor::from_values(std::vector<std::int64_t>{1, -1, 0, -1}, {2, 2}, device),
          .boxes = Tensor::from_values(
              std::vector<float>{0.5f, 0, 1, 1, 0, 0, 0, 0, 0.5f, 0, 1, 1, 0, 0, 0, 0}, {2, 2, 4}, device)};
}

TEST(DetectionTask, LossAndMeanAveragePrecision) {
  for (const Device device : testing::test_devices()) {
    SCOPED_TRACE(to_string(device));
    Fixed model;
    model.to(device);
    model.eval();
    DetectionTask task(device, 2);
    EXPECT_EQ(task.score_name(), "mAP@0.5");
    EXPECT_EQ(task.figures().count, 0);
    task.loss(model, two_pictures(device));
    task.loss(model, two_pictures(device));
    const Figures figures = task.figures();
    EXPECT_EQ(figures.count, 4);
    // Class 1: a right box and a wrong one of the same score, the right one first; and so twice: precision 1
    // at a recall of 1/2, 2/3 at 1. Class 0 is never found.
    EXPECT_NEAR(figures.score, (0.5 * 1 + 0.5 * 2 / 3) / 2, 1e-6);
    // Objectness 5/2 (1 - 3/4)^2 in both, and a class missed by 20 in the second; young, but on its anchor.
    EXPECT_NEAR(figures.loss, 2.5 / 16 + 20.0 / 2, 1e-4);
    task.reset();
    EXPECT_EQ(task.figures().count, 0);
  }
}

TEST(DetectionTask, NoScoreWhileTraining) {
  Fixed model;
  DetectionTask task(Device::cpu(), 2);
  task.loss(model, two_pictures(Device::cpu()));
  EXPECT_TRUE(std::isnan(task.figures().score));
  EXPECT_EQ(task.figures().count, 2);
}

TEST(DetectionTask, TheFirstPicturesAreHeldToTheirAnchors) {
  Fixed model;
  Tensor raw = model.buffers()[1].second;
  std::vector<float> values = raw.values<float>();
  values[4] = 2;  // the width of the left cell
  raw.copy_from(Tensor::from_values(values, raw.shape()));
  DetectionTask task(Device::cpu(), 2, {.prior = 1, .prior_pictures = 3});
  const auto loss = [&] { return task.loss(model, two_pictures(Device::cpu())).item<float>(); };
  const float young = loss(), old = loss();  // 2 pictures, then 4
  EXPECT_NEAR(young - old, 0.5 * 4, 1e-5);
  model.eval();
  EXPECT_EQ(loss(), old);
}

TEST(DetectionTask, RecordedStepsTrainAsOthersDo) {
  for (const Device device : testing::test_devices()) {
    SCOPED_TRACE(to_string(device));
    std::vector<std::vector<float>> ends;
    for (const bool recorded : {false, true}) {
      kernels::manual_seed(4);
      TinyYoloV2 model({.classes = 2, .anchors = {{1, 1}, {1, 2}}, .width = 2, .stages = 1});
      model.to(device);
      DetectionTask task(device, 2, {.prior_pictures = 5});
      const auto optimizer = make_optimizer("adam", model.parameters(), 1e-2);
      CapturedStep step(device, [&](const std::vector<Tensor>& inputs) {
        const Tensor loss = task.loss(model, {inputs[0], inputs[1], inputs[2]});
        loss.backward();
        optimizer->step();
        return std::vector{loss};
      });
      std::vector<float> losses;
      for (std::uint32_t i = 0; i < 4; ++i) {
        const Batch batch = two_pictures(device);
        const Tensor images = random_tensor(batch.images.shape(), i, DType::F32).to(device);
        if (recorded) {
          losses.push_back(step({images, batch.labels, batch.boxes})[0].item<float>());
          continue;
        }
        const Tensor loss = task.loss(model, {images, batch.labels, batch.boxes});
        loss.backward();
        optimizer->step();
        losses.push_back(loss.item<float>());
      }
      EXPECT_LT(losses.back(), losses.front());
      EXPECT_GE(step.counts().replayed, recorded ? 2 : 0) << step.fallback_reason();
      losses.push_back(float(task.figures().loss));
      ends.push_back(losses);
    }
    EXPECT_EQ(ends[0], ends[1]);
  }
}

TEST(DetectionTask, Refusals) {
  DetectionTask task(Device::cpu(), 3);
  Fixed two_classes;
  LeNet5 classifier;
  Batch batch = two_pictures(Device::cpu());
  expect_error<ArgumentError>([&] { task.loss(two_classes, batch); }, "for 3 classes, got Fixed");
  expect_error<ArgumentError>([&] { task.loss(classifier, batch); }, "for 3 classes, got LeNet-5");
  batch.boxes = {};
  DetectionTask of_two(Device::cpu(), 2);
  expect_error<ArgumentError>([&] { of_two.loss(two_classes, batch); }, "the batch has no boxes");
}

}  // namespace
}  // namespace dlcuda

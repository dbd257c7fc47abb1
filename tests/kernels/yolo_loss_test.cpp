// Target assignment and costs computed by hand. Values and gradients against PyTorch: tests/ops/detection.py.
#include "dlcuda/kernels/yolo_loss.h"

#include <gtest/gtest.h>

#include <cmath>

#include "dlcuda/core/error.h"
#include "dlcuda/layers/functional/detection.h"
#include "dlcuda/tests/support/devices.h"
#include "dlcuda/tests/support/errors.h"

namespace dlcuda {
namespace {

using kernels::kYoloIgnored;
using kernels::kYoloNoObject;
using kernels::YoloLossInputs;
using kernels::YoloLossParams;

constexpr std::int32_t kNone = kYoloNoObject;

struct Truth {
  std::int64_t label;
  float cx, cy, width, height;  // in parts of the picture
};

/// One picture on a grid of 2 x 2 cells, with two classes. Raw predictions are 0: each cell predicts its
/// anchors in its middle, an objectness of 1/2 and classes of 1/2.
YoloLossInputs picture(const std::vector<float>& anchors, const std::vector<Truth>& truths, Device device) {
  const auto each = std::int64_t(anchors.size() / 2), most = std::int64_t(truths.size());
  std::vector<std::int64_t> labels;
  std::vector<float> boxes;
  for (const Truth& t : truths) {
    labels.push_back(t.label);
    boxes.insert(boxes.end(),
                 {t.cx - t.width / 2, t.cy - t.height / 2, t.cx + t.width / 2, t.cy + t.height / 2});
  }
  return {.raw = Tensor::zeros({1, each * 7, 2, 2}, DType::F32, device),
          .anchors = Tensor::from_values(anchors, {each, 2}, device),
          .labels = Tensor::from_values(labels, {1, most}, device),
          .boxes = Tensor::from_values(boxes, {1, most, 4}, device)};
}

/// Prediction (row, column, anchor) is at (2 row + column) A + anchor.
void expect_assignment(const std::vector<float>& anchors, const std::vector<Truth>& truths,
                       const std::vector<std::int32_t>& expected, double loss,
                       const YoloLossParams& params = {}) {
  for (const Device device : testing::test_devices()) {
    SCOPED_TRACE(to_string(device));
    const auto out = kernels::yolo_loss_forward(picture(anchors, truths, device), params);
    EXPECT_EQ(out.assignment.values<std::int32_t>(), expected);
    EXPECT_NEAR(out.loss.item<float>(), loss, 1e-5);
  }
}

const double kLog2 = std::log(2.0);
constexpr double kObject = 5.0 / 2 / 4;    // 5 / 2 (1 - 1/2)^2: its own box overlaps fully
constexpr double kNoObject = 1.0 / 2 / 4;  // 1 / 2 (1/2)^2

TEST(YoloLoss, NoBoxes) { expect_assignment({1, 1}, {}, {kNone, kNone, kNone, kNone}, 4 * kNoObject); }

TEST(YoloLoss, TheCellOfTheCentreGetsTheBox) {
  expect_assignment({1, 1}, {{1, 0.25f, 0.75f, 0.5f, 0.5f}}, {kNone, kNone, 0, kNone},
                    kObject + kLog2 + 3 * kNoObject);
}

TEST(YoloLoss, TheAnchorOfTheBestShapeGetsTheBox) {
  // 2 x 1 cells: IoU 1/2 with the square, 1 with the wide anchor, 1/3 with the tall one.
  const std::vector<float> anchors{1, 1, 2, 1, 1, 2};
  std::vector<std::int32_t> expected(12, kNone);
  expected[1] = 0;
  expect_assignment(anchors, {{1, 0.25f, 0.25f, 1, 0.5f}}, expected, kObject + kLog2 + 11 * kNoObject);
}

TEST(YoloLoss, OthersThatOverlapMoreThanTheThresholdAreLeftAlone) {
  const std::vector<float> anchors{1, 1, 2, 1};
  std::vector<std::int32_t> expected(8, kNone);
  expected[1] = 0;
  const std::vector<Truth> wide{{1, 0.25f, 0.25f, 1, 0.5f}};  // half of it is the square anchor
  expect_assignment(anchors, wide, expected, kObject + kLog2 + 7 * kNoObject, {.threshold = 0.5});
  expected[0] = kYoloIgnored;
  expect_assignment(anchors, wide, expected, kObject + kLog2 + 6 * kNoObject, {.threshold = 0.49});
}

TEST(YoloLoss, OfEqualAnchorsTheFirstGetsTheBox) {
  std::vector<std::int32_t> expected(8, kNone);
  expected[0] = 0;
  expected[1] = kYoloIgnored;
  expect_assignment({1, 1, 1, 1}, {{0, 0.25f, 0.25f, 0.5f, 0.5f}}, expected, kObject + kLog2 + 6 * kNoObject);
}

TEST(YoloLoss, OfBoxesThatWantOnePredictionTheLastGetsIt) {
  const Truth box{0, 0.75f, 0.25f, 0.5f, 0.5f}, none{-1, 0.75f, 0.25f, 0.5f, 0.5f};
  expect_assignment({1, 1}, {box, box, none}, {kNone, 1, kNone, kNone}, kObject + kLog2 + 3 * kNoObject);
}

TEST(YoloLoss, WhatIsNoBoxCountsForNothing) {
  expect_assignment({1, 1},
                    {{-1, 0.25f, 0.25f, 0.5f, 0.5f},
                     {0, 0.25f, 0.25f, 0, 0.5f},
                     {0, 0.25f, 0.25f, 0.5f, -0.5f},
                     {0, 1.25f, 0.25f, 0.5f, 0.5f},
                     {0, 0.25f, -0.25f, 0.5f, 0.5f},
                     {0, NAN, 0.25f, 0.5f, 0.5f}},
                    {kNone, kNone, kNone, kNone}, 4 * kNoObject);
}

TEST(YoloLoss, TheLowerRightCornerBelongsToTheLastCell) {
  // The centre is half a cell right of and below the middle; 1/4 of the prediction's area is common: IoU 1/7.
  const double coordinates = (2 - 0.25) / 2 * (0.25 + 0.25);
  const std::vector<Truth> corner{{0, 1, 1, 0.5f, 0.5f}};
  const std::vector<std::int32_t> expected{kNone, kNone, kNone, 0};
  expect_assignment({1, 1}, corner, expected,
                    coordinates + 2.5 * std::pow(1.0 / 7 - 0.5, 2) + kLog2 + 3 * kNoObject);
  expect_assignment({1, 1}, corner, expected, coordinates + kObject + kLog2 + 3 * kNoObject,
                    {.overlap_target = false});
}

TEST(YoloLoss, SizesCountByTheirLogarithmAndMoreForSmallBoxes) {
  // Half as wide as the anchor: IoU 1/2, which is the predicted objectness.
  expect_assignment({1, 1}, {{0, 0.25f, 0.25f, 0.25f, 0.5f}}, {0, kNone, kNone, kNone},
                    (2 - 0.125) / 2 * kLog2 * kLog2 + kLog2 + 3 * kNoObject);
  // Of 2 x 2 pictures: the weight would be negative. IoU 1/4.
  expect_assignment({2, 2}, {{0, 0.25f, 0.25f, 2, 2}}, {0, kNone, kNone, kNone},
                    2.5 * 0.0625 + kLog2 + 3 * kNoObject);
}

TEST(YoloLoss, ScalesAndTheMeanOverPictures) {
  const YoloLossParams params{.object = 2, .no_object = 3, .coordinate = 0, .classification = 4};
  expect_assignment({1, 1}, {{1, 0.5f, 0.25f, 0.5f, 0.5f}}, {kNone, 0, kNone, kNone},
                    std::pow(1.0 / 3 - 0.5, 2) + 4 * kLog2 + 3 * 3.0 / 8, params);
  YoloLossInputs two = picture({1, 1}, {{0, 0.25f, 0.25f, 0.5f, 0.5f}}, Device::cpu());
  two.raw = Tensor::zeros({2, 7, 2, 2}, DType::F32);
  two.labels = Tensor::from_values(std::vector<std::int64_t>{0, -1}, {2, 1});
  two.boxes = Tensor::from_values(std::vector<float>{0, 0, 0.5f, 0.5f, 0, 0, 0, 0}, {2, 1, 4});
  EXPECT_NEAR(kernels::yolo_loss_forward(two, {}).loss.item<float>(), (kObject + kLog2 + 7 * kNoObject) / 2,
              1e-6);
}

TEST(YoloLoss, YoungNetsAreHeldToTheirAnchors) {
  for (const Device device : testing::test_devices()) {
    SCOPED_TRACE(to_string(device));
    YoloLossInputs inputs = picture({1, 1}, {}, device);
    std::vector<float> raw(28, 0.0f);
    for (std::size_t i = 8; i < 12; ++i) raw[i] = 2;  // the width of all four predictions
    inputs.raw = Tensor::from_values(raw, {1, 7, 2, 2}, device);
    const auto loss = [&](std::int64_t seen) {
      inputs.seen = Tensor::from_values(std::vector{seen}, {1}, device);
      return kernels::yolo_loss_forward(inputs, {}).loss.item<float>();
    };
    EXPECT_NEAR(loss(0), 4 * (kNoObject + 0.01 / 2 * 4), 1e-6);
    EXPECT_NEAR(loss(12799), 4 * (kNoObject + 0.01 / 2 * 4), 1e-6);
    EXPECT_NEAR(loss(12800), 4 * kNoObject, 1e-6);
  }
}

TEST(YoloLoss, TheOverlapIsAConstantOfTheGradient) {
  // The box reaches half a cell beyond its prediction on the right: IoU 2/3 with it, which grows with the
  // width.
  for (const Device device : testing::test_devices()) {
    SCOPED_TRACE(to_string(device));
    YoloLossInputs inputs = picture({1, 1}, {{0, 0.375f, 0.25f, 0.75f, 0.5f}}, device);
    inputs.raw.set_requires_grad();
    functional::yolo_loss(inputs).backward();
    const auto gradient = inputs.raw.grad().values<float>();
    const double weight = 2 - 0.375;
    EXPECT_NEAR(gradient[0], -weight * 0.25 * 0.25, 1e-6);        // tx = 3/4
    EXPECT_NEAR(gradient[4], 0, 1e-6);                            // ty = 1/2
    EXPECT_NEAR(gradient[8], -weight * std::log(1.5), 1e-6);      // and nothing of the IoU
    EXPECT_NEAR(gradient[12], 0, 1e-6);                           //
    EXPECT_NEAR(gradient[16], 5 * (0.5 - 2.0 / 3) * 0.25, 1e-6);  // objectness
    EXPECT_NEAR(gradient[20], -0.5, 1e-6);                        // the class
    EXPECT_NEAR(gradient[24], 0.5, 1e-6);                         // the other one
    EXPECT_NEAR(gradient[17], 0.5 * 0.25, 1e-6);                  // no object in the cell beside it
    EXPECT_EQ(gradient[1], 0);
    EXPECT_EQ(gradient[21], 0);
  }
}

TEST(YoloLoss, LabelsThatAreNoClassStopTheStepOnCuda) {
  const auto cuda = testing::cuda_for_test();
  if (!cuda.available) GTEST_SKIP() << cuda.reason;
  YoloLossInputs inputs =
      picture({1, 1}, {{0, 0.25f, 0.25f, 0.5f, 0.5f}, {2, 0.75f, 0.25f, 0.5f, 0.5f}}, Device::cuda());
  inputs.raw.set_requires_grad();
  const Tensor loss = functional::yolo_loss(inputs);
  loss.backward();
  expect_error<ArgumentError>([&] { loss.item<float>(); }, "yolo_loss: the label of box 1 is 2");
  EXPECT_TRUE(std::isnan(loss.item<float>()));
  for (const float g : inputs.raw.grad().values<float>()) EXPECT_TRUE(std::isfinite(g));
}

}  // namespace
}  // namespace dlcuda

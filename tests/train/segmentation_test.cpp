// The task and the picture of models that label pixels.
#include <gtest/gtest.h>

#include <cmath>

#include "dlcuda/core/error.h"
#include "dlcuda/data/draw.h"
#include "dlcuda/kernels/copy.h"
#include "dlcuda/kernels/cross_entropy.h"
#include "dlcuda/tests/support/devices.h"
#include "dlcuda/tests/support/errors.h"
#include "dlcuda/tests/support/random_tensor.h"
#include "dlcuda/train/segmentation_picture.h"
#include "dlcuda/train/task.h"

namespace dlcuda {
namespace {

/// Its output is what it is given.
class Echo : public Module {
 public:
  Tensor forward(const Tensor& x) override { return x; }
  std::string describe() const override { return "Echo"; }
};

/// Logits (N, classes, H, W) that say these classes.
Tensor logits_of(const std::vector<std::int64_t>& classes, const Shape& labels, std::int64_t count) {
  const std::int64_t pixels = labels[1] * labels[2];
  std::vector<float> values(static_cast<std::size_t>(labels.numel() * count));
  for (std::int64_t i = 0; i < labels.numel(); ++i) {
    const std::int64_t at = (i / pixels * count + classes[std::size_t(i)]) * pixels + i % pixels;
    values[std::size_t(at)] = 4;
  }
  return Tensor::from_values(values, {labels[0], count, labels[1], labels[2]});
}

// By hand, for two batches of one picture of 2 x 3 pixels and four classes, of which the last never occurs:
//   class 0: both 3, either 5; class 1: both 2, either 5; class 2: both 1, either 4
TEST(SegmentationTask, MeanOfIntersectionOverUnion) {
  const Shape shape{1, 2, 3};
  const std::vector<std::vector<std::int64_t>> truth = {{0, 0, 0, 1, 1, 2}, {0, 1, 1, 2, 2, kNoLabel}},
                                               said = {{0, 0, 1, 1, 0, 2}, {0, 1, 2, 1, 1, 3}};
  // counts: (0,0) 2+1, (0,1) 1; (1,1) 1+1, (1,0) 1, (1,2) 1; (2,2) 1, (2,1) 2
  const std::vector<double> expected = {3.0 / 5, 2.0 / 7, 1.0 / 4};
  for (const Device device : testing::test_devices()) {
    for (const MemoryFormat format : {MemoryFormat::Contiguous, MemoryFormat::ChannelsLast}) {
      SCOPED_TRACE(to_string(device) + " " + to_string(format));
      Echo model;
      SegmentationTask task(device, 4);
      double loss = 0;
      for (std::size_t i = 0; i < 2; ++i) {
        const Tensor logits = kernels::to_format(logits_of(said[i], shape, 4), format).to(device);
        loss += task.loss(model, {logits, Tensor::from_values(truth[i], shape, device)}).item<float>();
      }
      const Figures figures = task.figures();
      EXPECT_EQ(figures.count, 2);
      EXPECT_NEAR(figures.loss, loss / 2, 1e-6);
      const auto overlaps = task.class_overlaps();
      for (std::size_t c = 0; c < 3; ++c) EXPECT_DOUBLE_EQ(overlaps[c], expected[c]) << c;
      EXPECT_TRUE(std::isnan(overlaps[3]));  // the pixel that was taken for it counts for nothing
      EXPECT_DOUBLE_EQ(figures.score, (expected[0] + expected[1] + expected[2]) / 3);
      task.reset();
      EXPECT_EQ(task.figures().count, 0);
      EXPECT_TRUE(std::isnan(task.class_overlaps()[0]));
    }
  }
  EXPECT_EQ(SegmentationTask(Device::cpu(), 2).score_name(), "mean IoU");
}

TEST(SegmentationTask, ClassWeightsAreThoseOfTheLoss) {
  Echo model;
  const Tensor logits = random_tensor({2, 3, 4, 5}, 1, DType::F32);
  std::vector<std::int64_t> classes(40);
  for (std::size_t i = 0; i < 40; ++i) classes[i] = std::int64_t(i % 3);
  const Tensor labels = Tensor::from_values(classes, {2, 4, 5});
  const std::vector<float> weights = {0.25f, 1, 2};
  SegmentationTask task(Device::cpu(), 3, weights);
  EXPECT_EQ(
      task.loss(model, {logits, labels}).item<float>(),
      kernels::cross_entropy_forward(logits, labels, Tensor::from_values(weights, {3})).loss.item<float>());
  expect_error<ArgumentError>([&] { SegmentationTask(Device::cpu(), 2, weights); }, "3 class weights for 2");
}

TEST(SegmentationTask, JudgesTheMiddleWhereTheOutputIsSmaller) {
  Echo model;
  SegmentationTask task(Device::cpu(), 2);
  // Class 1 in the two pixels of the middle row that the output covers, class 0 around.
  const Tensor labels =
      Tensor::from_values(std::vector<std::int64_t>{0, 0, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0}, {1, 3, 4});
  task.loss(model, {logits_of({1, 1}, {1, 1, 2}, 2), labels});
  EXPECT_EQ(task.figures().score, 1.0);
  expect_error<ShapeError>(
      [&] {
        task.loss(model, {Tensor::zeros({1, 2, 4, 4}), labels});
      },
      "not larger than labels");
}

TEST(SegmentationPicture, ShowsImageTruthAndPrediction) {
  // A grey picture of 2 x 2 pixels at level 51 = 0.2; the truth has class 1 above, and a pixel that counts
  // for nothing; the prediction has class 1 on the left.
  const Batch batch{Tensor::from_values(std::vector<float>(4, 0.4f), {1, 1, 2, 2}),
                    Tensor::from_values(std::vector<std::int64_t>{1, 1, 0, kNoLabel}, {1, 2, 2})};
  const Image sheet = draw_segmentation(batch, logits_of({1, 0, 1, 0}, {1, 2, 2}, 2), {{0.0f}, {0.5f}});
  Image coloured{{3, 1, 1}, {25, 25, 25}};
  overlay_classes(coloured, std::vector<std::int64_t>{1}, 0.85);
  const auto pixel = [&](std::int64_t x, std::int64_t y) {
    std::vector<std::uint8_t> colour;
    for (std::int64_t c = 0; c < 3; ++c)
      colour.push_back(sheet.plane(c)[std::size_t(y * sheet.shape.width + x)]);
    return colour;
  };
  const std::vector<std::uint8_t> grey(3, 51), faded(3, 25), white(3, 255);
  // Tiles of 128 pixels, each pixel 64 times, 4 pixels between them.
  constexpr std::int64_t kTile = 132, kLeft = 4 + 32, kRight = 4 + 96;
  EXPECT_EQ(pixel(0, 0), white);
  for (const std::int64_t x : {kLeft, kRight}) {
    for (const std::int64_t y : {kLeft, kRight}) EXPECT_EQ(pixel(x, y), grey);
    EXPECT_EQ(pixel(kTile + x, kLeft), coloured.pixels);
    EXPECT_EQ(pixel(kTile + x, kRight), faded);
  }
  for (const std::int64_t y : {kLeft, kRight}) {
    EXPECT_EQ(pixel(2 * kTile + kLeft, y), coloured.pixels);
    EXPECT_EQ(pixel(2 * kTile + kRight, y), faded);
  }
  expect_error<ShapeError>([&] { draw_segmentation(batch, Tensor::zeros({1, 2, 3, 2}), {}); }, "do not fit");
  expect_error<ShapeError>(
      [&] {
        draw_segmentation({batch.images, Tensor::zeros({1}, DType::I64)}, {}, {});
      },
      "need labels");
}

// A smaller output is that of the middle; a second picture stands beside the first.
TEST(SegmentationPicture, PlacesSmallerOutputsInTheMiddle) {
  const Batch batch{Tensor::zeros({2, 3, 64, 64}), Tensor::zeros({2, 64, 64}, DType::I64)};
  const Tensor logits = logits_of(std::vector<std::int64_t>(2 * 32 * 32, 1), {2, 32, 32}, 2);
  const Image sheet = draw_segmentation(batch, logits, {});
  EXPECT_EQ(sheet.shape.width, 2 * 3 * 132 + 3 * 4);
  EXPECT_EQ(sheet.shape.height, 132 + 4);
  const auto dark = [&](std::int64_t x) {
    return sheet.plane(0)[std::size_t(68 * sheet.shape.width + x)] == 0 &&
           sheet.plane(1)[std::size_t(68 * sheet.shape.width + x)] == 0 &&
           sheet.plane(2)[std::size_t(68 * sheet.shape.width + x)] == 0;
  };
  for (const std::int64_t left : {4 + 2 * 132, 4 + 3 * 132 + 4 + 2 * 132}) {
    EXPECT_TRUE(dark(left + 31));
    EXPECT_FALSE(dark(left + 32));
    EXPECT_FALSE(dark(left + 95));
    EXPECT_TRUE(dark(left + 96));
  }
}

}  // namespace
}  // namespace dlcuda

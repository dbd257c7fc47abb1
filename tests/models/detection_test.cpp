#include "dlcuda/models/yolov2/detection.h"

#include <gtest/gtest.h>

#include <cmath>

#include "dlcuda/kernels/copy.h"
#include "dlcuda/tests/support/devices.h"

namespace dlcuda {
namespace {

/// Raw predictions of a picture on a grid of 1 x 2 with one anchor of 1 x 1 cells and two classes: nothing in
/// either cell until set.
struct Grid {
  std::vector<float> raw = std::vector<float>(14, 0.0f);
  Grid() { raw[8] = raw[9] = -20; }
  /// number: 0 to 3 the box, 4 the objectness, 5 and 6 the classes.
  float& at(int cell, int number) { return raw[std::size_t(number * 2 + cell)]; }
};

Tensor raw_tensor(std::initializer_list<Grid> pictures) {
  std::vector<float> all;
  for (const Grid& grid : pictures) all.insert(all.end(), grid.raw.begin(), grid.raw.end());
  return Tensor::from_values(all, Shape{std::int64_t(pictures.size()), 7, 1, 2});
}

const std::vector<float> kAnchor{1, 1};

TEST(Detection, BoxesClassesAndScores) {
  Grid none, one, both;
  one.at(1, 4) = 20;              // objectness 1
  one.at(1, 6) = std::log(3.0f);  // class 1 with probability 3/4
  both.at(0, 4) = 20;
  both.at(0, 3) = std::log(4.0f);  // as high as four pictures: cut off
  both.at(1, 4) = std::log(3.0f);  // 3/4
  both.at(1, 5) = 20;              // class 0
  for (const Device device : testing::test_devices()) {
    for (const DType dtype : {DType::F32, DType::BF16}) {
      SCOPED_TRACE(to_string(device) + " " + to_string(dtype));
      const Tensor raw = kernels::cast(raw_tensor({none, one, both}), dtype).to(device);
      const auto found =
          read_detections(detect(raw, Tensor::from_values(kAnchor, {1, 2}, device), 2, {.most = 3}));
      ASSERT_EQ(found.size(), 3u);
      EXPECT_TRUE(found[0].empty());
      ASSERT_EQ(found[1].size(), 1u);
      EXPECT_EQ(found[1][0].box.label, 1);
      EXPECT_NEAR(found[1][0].score, 0.75f, 2e-3);
      EXPECT_EQ(found[1][0].box, (LabelledBox{0.5f, 0.0f, 1.0f, 1.0f, 1}));
      ASSERT_EQ(found[2].size(), 2u);
      EXPECT_EQ(found[2][0].box.label, 0);
      EXPECT_NEAR(found[2][0].score, 0.75f, 2e-3);
      EXPECT_EQ(found[2][0].box, (LabelledBox{0.5f, 0.0f, 1.0f, 1.0f, 0}));
      EXPECT_NEAR(found[2][1].score, 0.5f, 2e-3);
      EXPECT_EQ(found[2][1].box, (LabelledBox{0.0f, 0.0f, 0.5f, 1.0f, 0}));
    }
  }
}

TEST(Detection, BoxesOfOneClassSuppressEachOtherAndThoseOfOthersDoNot) {
  Grid same, different;
  for (Grid* grid : {&same, &different}) {
    for (const int cell : {0, 1}) {
      grid->at(cell, 4) = cell == 0 ? 3.0f : 4.0f;
      grid->at(cell, 2) = std::log(2.0f);  // both as wide as the picture
      grid->at(cell, 5) = 20;
    }
    grid->at(0, 0) = 20;  // at the common border, both
    grid->at(1, 0) = -20;
  }
  different.at(0, 6) = 40;
  const Tensor anchor = Tensor::from_values(kAnchor, {1, 2});
  const auto found = read_detections(detect(raw_tensor({same, different}), anchor, 2));
  ASSERT_EQ(found[0].size(), 1u);
  EXPECT_NEAR(found[0][0].score, 1 / (1 + std::exp(-4.0f)), 1e-5);
  ASSERT_EQ(found[1].size(), 2u);
  EXPECT_EQ(found[1][0].box.label, 0);
  EXPECT_EQ(found[1][1].box.label, 1);
  EXPECT_EQ(read_detections(detect(raw_tensor({different}), anchor, 2, {.score = 0.97}))[0].size(), 1u);
  EXPECT_EQ(read_detections(detect(raw_tensor({different}), anchor, 2, {.most = 1}))[0].size(), 1u);
}

TEST(Detection, NoCellsNoDetections) {
  const Tensor anchor = Tensor::from_values(kAnchor, {1, 2});
  const auto found = read_detections(detect(Tensor::zeros({2, 7, 0, 3}, DType::F32), anchor, 2));
  ASSERT_EQ(found.size(), 2u);
  EXPECT_TRUE(found[0].empty());
}

}  // namespace
}  // namespace dlcuda

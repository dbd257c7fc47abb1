// Against numbers worked out by hand.
#include "dlcuda/train/average_precision.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "dlcuda/core/error.h"
#include "dlcuda/tests/support/errors.h"

namespace dlcuda {
namespace {

using Boxes = std::vector<LabelledBox>;
using Detections = std::vector<Detection>;

/// A box of a tenth of the picture's width and its whole height, at tenth `place`.
LabelledBox strip(int place, std::int64_t label = 0) {
  return {0.1f * float(place), 0, 0.1f * float(place + 1), 1, label};
}

TEST(BoxOverlap, IsIntersectionOverUnion) {
  EXPECT_DOUBLE_EQ(box_overlap({0, 0, 1, 1}, {0, 0, 1, 1}), 1);
  EXPECT_DOUBLE_EQ(box_overlap({0, 0, 1, 1}, {0.5f, 0, 1, 1}), 0.5);
  EXPECT_DOUBLE_EQ(box_overlap({0, 0, 0.5f, 0.5f}, {0.25f, 0.25f, 0.75f, 0.75f}), 1.0 / 7);
  EXPECT_DOUBLE_EQ(box_overlap({0, 0, 0.5f, 1}, {0.5f, 0, 1, 1}), 0);        // they touch
  EXPECT_DOUBLE_EQ(box_overlap({0, 0, 0.2f, 0.2f}, {0.5f, 0.5f, 1, 1}), 0);  // apart in both directions
  EXPECT_DOUBLE_EQ(box_overlap({0, 0, 0, 0}, {0, 0, 0, 0}), 0);
}

TEST(AveragePrecision, IsOneWhereAllIsFound) {
  AveragePrecision precision(3);
  precision.add(Detections{{strip(0), 0.2}, {strip(3, 2), 0.9}}, Boxes{strip(0), strip(3, 2)});
  EXPECT_DOUBLE_EQ(precision.mean(), 1);
  EXPECT_DOUBLE_EQ(precision.per_class()[0], 1);
  EXPECT_TRUE(std::isnan(precision.per_class()[1]));
  precision.reset();
  EXPECT_EQ(precision.mean(), 0);
}

// Five truths; detections by falling score: right, wrong, right, right, wrong, wrong, right. Precisions where
// recall grows: 1, 2/3, 3/4, 4/7; each counts as the best from there on: 1, 3/4, 3/4, 4/7; the fifth truth is
// never found. Area: (1 + 3/4 + 3/4 + 4/7) / 5.
TEST(AveragePrecision, IsTheAreaUnderTheWholeCurve) {
  AveragePrecision precision(1);
  precision.add(Detections{{strip(1), 0.8}, {strip(9), 0.9}, {strip(0), 0.95}},
                Boxes{strip(0), strip(1), strip(2)});
  precision.add(Detections{{strip(5), 0.1}, {strip(4), 0.7}, {strip(8), 0.4}, {strip(7), 0.5}},
                Boxes{strip(4), strip(5)});
  EXPECT_DOUBLE_EQ(precision.mean(), (1 + 0.75 + 0.75 + 4.0 / 7) / 5);
}

TEST(AveragePrecision, ATruthIsFoundOnce) {
  AveragePrecision precision(1);
  // The better score takes the truth though it stands second; the other one is wrong.
  precision.add(Detections{{strip(0), 0.5}, {strip(0), 0.6}}, Boxes{strip(0), strip(5)});
  EXPECT_DOUBLE_EQ(precision.mean(), 0.5);
}

TEST(AveragePrecision, ADetectionGoesToTheTruthThatItOverlapsMost) {
  AveragePrecision precision(1, 0.3);
  const LabelledBox first{0, 0, 0.4f, 1}, second{0.1f, 0, 0.5f, 1};
  // Both detections are nearest to `first`: the second of them is wrong, though it overlaps `second` enough.
  precision.add(Detections{{first, 0.9}, {{0.02f, 0, 0.42f, 1}, 0.8}}, Boxes{first, second});
  EXPECT_DOUBLE_EQ(precision.mean(), 0.5);
}

TEST(AveragePrecision, OverlapAndClassMustFit) {
  AveragePrecision precision(2);
  precision.add(Detections{{{0, 0, 0.49f, 1, 0}, 0.9}, {{0, 0, 1, 1, 1}, 0.9}}, Boxes{{0, 0, 1, 1, 0}});
  EXPECT_EQ(precision.mean(), 0);  // too little of it, and the wrong class, which has no truth
  precision.reset();
  precision.add(Detections{{{0, 0, 0.5f, 1, 0}, 0.9}}, Boxes{{0, 0, 1, 1, 0}});
  EXPECT_EQ(precision.mean(), 1);  // exactly the overlap that is asked for
}

TEST(AveragePrecision, TheMeanIsOverClassesWithTruths) {
  AveragePrecision precision(4);
  precision.add(Detections{{strip(0), 0.9}, {strip(7, 3), 0.9}}, Boxes{strip(0), strip(1, 1)});
  EXPECT_DOUBLE_EQ(precision.mean(), 0.5);
}

TEST(AveragePrecision, RefusesBadArguments) {
  expect_error<ArgumentError>([] { AveragePrecision(0); }, "got 0");
  expect_error<ArgumentError>([] { AveragePrecision(1, 0.0); }, "got 0");
  expect_error<ArgumentError>([] { AveragePrecision(1, 1.5); }, "got 1.5");
  AveragePrecision precision(2);
  expect_error<ArgumentError>([&] { precision.add({}, Boxes{strip(0, 2)}); }, "class 2, expected 0 to 1");
  expect_error<ArgumentError>([&] { precision.add(Detections{{strip(0, -1), 1}}, {}); }, "class -1");
  const double nan = std::numeric_limits<double>::quiet_NaN();
  expect_error<ArgumentError>([&] { precision.add(Detections{{strip(0), nan}}, {}); }, "NaN");
}

}  // namespace
}  // namespace dlcuda

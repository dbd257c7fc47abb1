#include "dlcuda/models/yolov2/anchors.h"

#include <gtest/gtest.h>

#include <limits>

#include "dlcuda/core/error.h"
#include "dlcuda/data/random_stream.h"
#include "dlcuda/tests/support/errors.h"

namespace dlcuda {
namespace {

TEST(Anchors, OverlapOfSizes) {
  EXPECT_DOUBLE_EQ(size_overlap({2, 3}, {2, 3}), 1);
  EXPECT_DOUBLE_EQ(size_overlap({1, 1}, {2, 2}), 0.25);
  EXPECT_DOUBLE_EQ(size_overlap({4, 1}, {1, 4}), 1.0 / 7);
}

TEST(Anchors, OneAnchorIsTheMeanSize) {
  const std::vector<BoxSize> sizes{{1, 2}, {3, 4}, {5, 9}};
  const AnchorClusters found = cluster_anchors(sizes, 1);
  EXPECT_EQ(found.anchors, (std::vector<BoxSize>{{3, 5}}));
  // (2 / 15 + 12 / 15 + 15 / 45) / 3
  EXPECT_NEAR(found.mean_overlap, (2.0 / 15 + 12.0 / 15 + 1.0 / 3) / 3, 1e-12);
}

TEST(Anchors, FindsGroupsThatAreThere) {
  // Wide, tall and small ones; by shape, not by Euclid: 10 x 2 is nearer to 6 x 1 than 2 x 10 is to 3 x 9.
  const std::vector<BoxSize> sizes{{10, 2},  {2, 10}, {1, 1},  {9, 2},  {2, 9},
                                   {1.2, 1}, {11, 2}, {2, 11}, {0.8, 1}};
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    const AnchorClusters found = cluster_anchors(sizes, 3, seed);
    ASSERT_EQ(found.anchors.size(), 3u);
    EXPECT_NEAR(found.anchors[0].width, 1, 1e-12) << seed;
    EXPECT_EQ(found.anchors[1], (BoxSize{2, 10})) << seed;
    EXPECT_EQ(found.anchors[2], (BoxSize{10, 2})) << seed;
    EXPECT_GE(found.iterations, 2);
  }
}

TEST(Anchors, AsManyAnchorsAsSizesOverlapFully) {
  const std::vector<BoxSize> sizes{{1, 1}, {1, 1}, {2, 1}, {7, 3}};
  const AnchorClusters found = cluster_anchors(sizes, 3, 5);
  EXPECT_EQ(found.anchors, (std::vector<BoxSize>{{1, 1}, {2, 1}, {7, 3}}));
  EXPECT_DOUBLE_EQ(found.mean_overlap, 1);
}

TEST(Anchors, SeedsRepeatAndMoreAnchorsFitBetter) {
  RandomStream random(1, 2, 3);
  std::vector<BoxSize> sizes;
  for (int i = 0; i < 500; ++i) sizes.push_back({random.uniform(0.1f, 9), random.uniform(0.1f, 9)});
  double previous = 0;
  for (const std::int64_t count : {1, 5, 25, 125}) {
    const AnchorClusters a = cluster_anchors(sizes, count, 9), b = cluster_anchors(sizes, count, 9);
    EXPECT_EQ(a.anchors, b.anchors);
    EXPECT_GT(a.mean_overlap, previous);
    previous = a.mean_overlap;
  }
}

TEST(Anchors, StopsAtTheLimit) {
  RandomStream random(1, 2, 3);
  std::vector<BoxSize> sizes;
  for (int i = 0; i < 500; ++i) sizes.push_back({random.uniform(0.1f, 9), random.uniform(0.1f, 9)});
  EXPECT_EQ(cluster_anchors(sizes, 9, 1, 2).iterations, 2);
}

TEST(Anchors, Refusals) {
  const std::vector<BoxSize> sizes{{1, 1}, {1, 1}};
  expect_error<ArgumentError>([&] { cluster_anchors(sizes, 0); }, "count must be at least 1, got 0");
  expect_error<ArgumentError>([&] { cluster_anchors(sizes, 2); },
                              "2 anchors need as many different sizes, got 1");
  for (const double bad : {0.0, -1.0, std::numeric_limits<double>::quiet_NaN(), HUGE_VAL}) {
    const std::vector<BoxSize> with_bad{{1, 1}, {1, bad}};
    expect_error<ArgumentError>([&] { cluster_anchors(with_bad, 1); }, "positive and finite", "for box 1");
  }
}

}  // namespace
}  // namespace dlcuda

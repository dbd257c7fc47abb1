#include "dlcuda/data/shapes.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "dlcuda/core/autograd.h"
#include "dlcuda/core/error.h"
#include "dlcuda/data/loader.h"
#include "dlcuda/data/registry.h"
#include "dlcuda/data/shape_outlines.h"
#include "dlcuda/kernels/random.h"
#include "dlcuda/layers/layers.h"
#include "dlcuda/optim/optimizer.h"
#include "dlcuda/tests/support/errors.h"
#include "dlcuda/train/task.h"

namespace dlcuda {
namespace {

struct Read {
  std::vector<std::uint8_t> pixels;
  Target target;
};

Read read(const ImageDataset& dataset, std::int64_t index) {
  Read result;
  result.pixels.resize(dataset.image_shape().pixels());
  dataset.read(index, result.pixels, result.target);
  return result;
}

std::shared_ptr<const ImageDataset> shapes(TargetKind target, std::int64_t side, std::int64_t count,
                                           std::int64_t first = 0, std::uint64_t seed = 1) {
  return generated_shapes({.target = target, .side = side, .seed = seed, .first = first, .count = count});
}

/// FNV-1a.
std::uint64_t hash(const std::vector<std::uint8_t>& bytes) {
  std::uint64_t value = 0xcbf29ce484222325u;
  for (const std::uint8_t byte : bytes) value = (value ^ byte) * 0x100000001b3u;
  return value;
}

TEST(Shapes, AreTheSameOnEveryMachine) {
  EXPECT_EQ(hash(read(*shapes(TargetKind::Class, 32, 10), 7).pixels), 0xe29b2e5bc9b29f47u);
  EXPECT_EQ(hash(read(*shapes(TargetKind::Class, 64, 1, 123456789012, 42), 0).pixels), 0x48e6b659b6a81c55u);
  const Read scene = read(*shapes(TargetKind::Mask, 100, 10), 3);
  EXPECT_EQ(hash(scene.pixels), 0x21247aef7899910au);
  EXPECT_EQ(hash(scene.target.mask), 0x92cbd0d3b80ac20au);
  EXPECT_EQ(hash(read(*shapes(TargetKind::Boxes, 17, 10), 9).pixels), 0x4379e8d43871c82cu);
}

TEST(Shapes, DoNotDependOnOrderOrThreads) {
  const auto set = shapes(TargetKind::Mask, 40, 20), later = shapes(TargetKind::Mask, 40, 10, 10);
  std::vector<Read> reads(20);
  std::thread even([&] {
    for (int i = 18; i >= 0; i -= 2) reads[std::size_t(i)] = read(*set, i);
  });
  for (int i = 19; i >= 0; i -= 2) reads[std::size_t(i)] = read(*set, i);
  even.join();
  for (int i = 0; i < 10; ++i) {
    const Read again = read(*later, i);
    EXPECT_EQ(again.pixels, reads[std::size_t(10 + i)].pixels);
    EXPECT_EQ(again.target.mask, reads[std::size_t(10 + i)].target.mask);
  }
}

TEST(Shapes, DifferByIndexSeedAndKind) {
  std::set<std::uint64_t> hashes;
  for (std::int64_t i = 0; i < 100; ++i) {
    hashes.insert(hash(read(*shapes(TargetKind::Class, 32, 100), i).pixels));
    hashes.insert(hash(read(*shapes(TargetKind::Class, 32, 100, 0, 2), i).pixels));
    hashes.insert(hash(read(*shapes(TargetKind::Mask, 32, 100), i).pixels));
  }
  EXPECT_EQ(hashes.size(), 300u);
}

TEST(Shapes, BoxesAreTightAroundTheMasksOfTheSamePictures) {
  constexpr std::int64_t kSide = 50, kCount = 500;
  const auto boxes = shapes(TargetKind::Boxes, kSide, kCount),
             masks = shapes(TargetKind::Mask, kSide, kCount);
  EXPECT_EQ(boxes->target_format(), (TargetFormat{TargetKind::Boxes, kMostShapes}));
  EXPECT_EQ(masks->target_format(), (TargetFormat{TargetKind::Mask, 0}));
  EXPECT_EQ(boxes->class_count(), 8);
  EXPECT_EQ(masks->class_count(), 9);
  EXPECT_EQ(masks->class_names()[0], "background");
  std::set<std::size_t> counts;
  for (std::int64_t i = 0; i < kCount; ++i) {
    const Read with_boxes = read(*boxes, i), with_mask = read(*masks, i);
    ASSERT_EQ(with_boxes.pixels, with_mask.pixels);
    std::vector<std::uint8_t> left = with_mask.target.mask;  // what no box has explained
    for (const LabelledBox& box : with_boxes.target.boxes) {
      const auto pixel = [](float part) { return static_cast<std::int64_t>(part * kSide + 0.5f); };
      bool edge[4] = {};
      for (std::int64_t y = pixel(box.y1); y < pixel(box.y2); ++y) {
        for (std::int64_t x = pixel(box.x1); x < pixel(box.x2); ++x) {
          std::uint8_t& label = left[std::size_t(y * kSide + x)];
          if (label != box.label + 1) continue;
          edge[0] |= y == pixel(box.y1);
          edge[1] |= y == pixel(box.y2) - 1;
          edge[2] |= x == pixel(box.x1);
          edge[3] |= x == pixel(box.x2) - 1;
          label = 0;
        }
      }
      EXPECT_TRUE(edge[0] && edge[1] && edge[2] && edge[3]) << "a box is too large in picture " << i;
    }
    EXPECT_EQ(std::ranges::count(left, 0), kSide * kSide) << "a box is too small in picture " << i;
    counts.insert(with_boxes.target.boxes.size());
  }
  EXPECT_EQ(counts, (std::set<std::size_t>{1, 2, 3, 4, 5}));
}

TEST(Shapes, ClassesAreBalanced) {
  EXPECT_EQ(count_per_class(*shapes(TargetKind::Class, 16, 80, 1000)), std::vector<std::int64_t>(8, 10));
  std::map<std::int64_t, int> counts;
  const auto scenes = shapes(TargetKind::Boxes, 32, 1500);
  int all = 0;
  for (std::int64_t i = 0; i < scenes->size(); ++i) {
    for (const LabelledBox& box : read(*scenes, i).target.boxes) ++counts[box.label], ++all;
  }
  ASSERT_EQ(counts.size(), 8u);
  for (const auto& [label, count] : counts) EXPECT_NEAR(count, all / 8, all / 30) << label;
}

TEST(Shapes, OutlinesStayInTheUnitCircleAndReachItsEdge) {
  for (int kind = 0; kind < 8; ++kind) {
    float furthest = 0;
    for (float x = -1.5f; x <= 1.5f; x += 0.01f) {
      for (float y = -1.5f; y <= 1.5f; y += 0.01f) {
        if (distance_to_shape(kind, {x, y}) <= 0) furthest = std::max(furthest, x * x + y * y);
      }
    }
    EXPECT_LE(furthest, 1.0f) << kShapeNames[std::size_t(kind)];
    EXPECT_GE(furthest, 0.8f * 0.8f) << kShapeNames[std::size_t(kind)];
  }
}

TEST(Shapes, RefuseBadArguments) {
  expect_error<ArgumentError>([] { shapes(TargetKind::Class, 15, 1); }, "16 to 4096", "got 15");
  expect_error<ArgumentError>([] { shapes(TargetKind::Class, 4097, 1); }, "got 4097");
  expect_error<ArgumentError>([] { shapes(TargetKind::Class, 16, -1); }, "-1");
  expect_error<ArgumentError>([] { shapes(TargetKind::Class, 16, 1, -2); }, "-2");
  std::vector<std::uint8_t> pixels(3 * 16 * 16);
  expect_error<ArgumentError>([&] { shapes(TargetKind::Mask, 16, 1)->read(0, pixels); }, "have masks");
}

TEST(Shapes, AsADatasetByName) {
  const DatasetSplits splits = open_dataset({.name = "shapes",
                                             .target = TargetKind::Boxes,
                                             .side = 32,
                                             .train_count = 60,
                                             .validation_count = 50,
                                             .test_count = 40});
  EXPECT_EQ(splits.train->size(), 60);
  EXPECT_EQ(splits.validation->size(), 50);
  EXPECT_EQ(splits.test->size(), 40);
  EXPECT_EQ(splits.train->image_shape(), (ImageShape{3, 32, 32}));
  EXPECT_EQ(splits.train->target_format().kind, TargetKind::Boxes);
  std::set<std::uint64_t> hashes;
  for (const auto& part : {splits.train, splits.validation, splits.test}) {
    for (std::int64_t i = 0; i < part->size(); ++i) hashes.insert(hash(read(*part, i).pixels));
  }
  EXPECT_EQ(hashes.size(), 150u) << "splits share pictures";
  // A split's pictures are the same whatever the sizes of the others.
  const DatasetSplits other =
      open_dataset({.name = "shapes", .limit = 7, .target = TargetKind::Boxes, .side = 32});
  EXPECT_EQ(other.test->size(), 7);
  EXPECT_EQ(read(*other.test, 6).pixels, read(*splits.test, 6).pixels);

  double sum = 0, squares = 0;
  const DatasetSplits whole = open_dataset({.name = "shapes", .side = 16});
  constexpr std::int64_t kLooked = 2000;
  for (std::int64_t i = 0; i < kLooked; ++i) {
    for (const double p : read(*whole.train, i).pixels) sum += p / 255, squares += p * p / 255 / 255;
  }
  const double n = kLooked * 3.0 * 16 * 16, mean = sum / n;
  EXPECT_NEAR(whole.normalization.mean.at(0), mean, 0.01);
  EXPECT_NEAR(whole.normalization.std.at(0), std::sqrt(squares / n - mean * mean), 0.01);

  expect_error<ArgumentError>([] { open_dataset({.name = "digits", .target = TargetKind::Mask}); },
                              "digits has no masks", "datasets with masks: shapes");
  expect_error<ArgumentError>([] { open_dataset({.name = "shapes", .side = 3}); }, "got 3");
  expect_error<ArgumentError>([] { open_dataset({.name = "shapes", .train_count = -1}); }, "got -1");
  expect_error<ArgumentError>([] { open_dataset({.name = "shapes", .folder = "x"}); }, "reads no folder");
}

// Neither colour nor place tells the class: what convolutions read with ease, a linear model cannot.
TEST(Shapes, ALinearModelCannotReadThem) {
  constexpr std::int64_t kSide = 32;
  kernels::manual_seed(1);
  const DatasetSplits data =
      open_dataset({.name = "shapes", .side = kSide, .train_count = 4000, .test_count = 1000});
  const ImagePipeline plain({3, kSide, kSide}, {}, data.normalization);
  Sequential model;
  model.add<Flatten>().add<Linear>(3 * kSide * kSide, 8);
  const auto optimizer = make_optimizer("adam", model.parameters(), 3e-4);
  ClassificationTask task(Device::cpu());
  DataLoader train(data.train, plain, {.batch_size = 64, .shuffle = true});
  for (const std::uint64_t epoch : {0, 1, 2, 3}) {
    train.start_epoch(epoch);
    while (const Batch* batch = train.next()) {
      task.loss(model, *batch).backward();
      optimizer->step();
    }
  }
  task.reset();
  DataLoader test(data.test, plain, {.batch_size = 250});
  test.start_epoch(0);
  const autograd::NoGrad no_grad;
  while (const Batch* batch = test.next()) task.loss(model, *batch);
  RecordProperty("accuracy", std::to_string(task.figures().score));
  EXPECT_LT(task.figures().score, 0.6);
}

}  // namespace
}  // namespace dlcuda

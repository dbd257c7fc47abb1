// Boxes and masks on their way from a dataset into batches.
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <set>
#include <string>
#include <vector>

#include "dlcuda/core/error.h"
#include "dlcuda/data/loader.h"
#include "dlcuda/data/shapes.h"
#include "dlcuda/tests/support/devices.h"
#include "dlcuda/tests/support/errors.h"

namespace dlcuda {
namespace {

/// 1x2x4 images, all with one target.
class WithTarget : public ImageDataset {
 public:
  WithTarget(TargetFormat format, Target target) : format_(format), target_(std::move(target)) {}
  std::int64_t size() const override { return 3; }
  ImageShape image_shape() const override { return {1, 2, 4}; }
  const std::vector<std::string>& class_names() const override { return names_; }
  TargetFormat target_format() const override { return format_; }

 private:
  void read_image(std::int64_t, std::span<std::uint8_t> pixels, Target& target) const override {
    std::ranges::fill(pixels, 9);
    target = target_;
  }
  TargetFormat format_;
  Target target_;
  std::vector<std::string> names_ = {"a", "b", "c"};
};

std::shared_ptr<const ImageDataset> boxes(std::vector<LabelledBox> given, std::int64_t most = 3) {
  return std::make_shared<WithTarget>(TargetFormat{TargetKind::Boxes, most},
                                      Target{.boxes = std::move(given)});
}

std::shared_ptr<const ImageDataset> mask(std::vector<std::uint8_t> given) {
  return std::make_shared<WithTarget>(TargetFormat{TargetKind::Mask}, Target{.mask = std::move(given)});
}

using Transforms = std::vector<std::shared_ptr<const Transform>>;

/// The first batch of a dataset.
Batch first_batch(const std::shared_ptr<const ImageDataset>& dataset, std::int64_t size = 2,
                  const Transforms& transforms = {}) {
  DataLoader loader(dataset, ImagePipeline(dataset->image_shape(), transforms, {}),
                    {.batch_size = size, .workers = 0});
  loader.start_epoch(0);
  const Batch* batch = loader.next();
  return batch->map([](const Tensor& tensor) { return tensor.clone(); });
}

TEST(Targets, BoxesFillTheFirstRows) {
  const Batch batch = first_batch(boxes({{0, 0.25f, 0.5f, 1, 2}, {0.5f, 0, 1, 1, 0}}));
  EXPECT_EQ(batch.labels.shape(), (Shape{2, 3}));
  EXPECT_EQ(batch.labels.values<std::int64_t>(), (std::vector<std::int64_t>{2, 0, -1, 2, 0, -1}));
  EXPECT_EQ(batch.boxes.shape(), (Shape{2, 3, 4}));
  const std::vector<float> one = {0, 0.25f, 0.5f, 1, 0.5f, 0, 1, 1, 0, 0, 0, 0};
  std::vector<float> expected = one;
  expected.insert(expected.end(), one.begin(), one.end());
  EXPECT_EQ(batch.boxes.values<float>(), expected);
  EXPECT_EQ(batch.size(), 2);
}

TEST(Targets, MasksBecomeLabelsOfPixels) {
  const Batch batch = first_batch(mask({0, 1, 2, kIgnoredPixel, 2, 1, 0, 0}), 1);
  EXPECT_EQ(batch.labels.shape(), (Shape{1, 2, 4}));
  EXPECT_EQ(batch.labels.values<std::int64_t>(), (std::vector<std::int64_t>{0, 1, 2, kNoLabel, 2, 1, 0, 0}));
  EXPECT_FALSE(batch.boxes.defined());
}

TEST(Targets, WhatIsWrongIsAFormatError) {
  const auto refused = [](const std::shared_ptr<const ImageDataset>& dataset, const char* words) {
    expect_error<FormatError>([&] { first_batch(dataset); }, "image 0", words);
  };
  refused(boxes({{0, 0, 1, 1, 3}}), "has label 3, expected 0 to 2");
  refused(boxes({{0, 0, 1, 1, -1}}), "has label -1");
  refused(boxes({{}, {}, {}, {}}), "has 4 boxes, but the dataset promised at most 3");
  const float nan = std::numeric_limits<float>::quiet_NaN();
  for (const LabelledBox& box :
       {LabelledBox{0.5f, 0, 0.4f, 1}, LabelledBox{0, 0.5f, 1, 0.4f}, LabelledBox{-0.1f, 0, 1, 1},
        LabelledBox{0, -0.1f, 1, 1}, LabelledBox{0, 0, 1.1f, 1}, LabelledBox{0, 0, 1, 1.1f},
        LabelledBox{nan, 0, 1, 1}, LabelledBox{0, 0, 1, nan}}) {
    refused(boxes({box}), "has a box from");
  }
  refused(mask({0, 1, 2, 3, 0, 0, 0, 0}), "has label 3");
  refused(mask({}), "has a mask of 0 pixels, expected 2x4");
  expect_error<ArgumentError>([] { first_batch(boxes({}, 0)); }, "at most, got 0");
}

TEST(Targets, PaddingTakesThemAlong) {
  const Transforms pad = {std::make_shared<Pad>(4, 8)};
  const Batch with_boxes = first_batch(boxes({{0, 0, 0.5f, 1, 1}}, 1), 1, pad);
  EXPECT_EQ(with_boxes.boxes.values<float>(), (std::vector<float>{0.25f, 0.25f, 0.5f, 0.75f}));
  const Batch with_mask = first_batch(mask({0, 1, 2, 0, 2, 1, 0, 1}), 1, pad);
  constexpr std::int64_t k = kNoLabel;
  EXPECT_EQ(with_mask.labels.values<std::int64_t>(),
            (std::vector<std::int64_t>{k, k, k, k, k, k, k, k, k, k, 0, 1, 2, 0, k, k,  //
                                       k, k, 2, 1, 0, 1, k, k, k, k, k, k, k, k, k, k}));
}

/// What a transform makes of an image of 2x4 pixels, numbered, with a mask and boxes.
struct Moved {
  std::vector<std::uint8_t> pixels, mask;
  std::vector<LabelledBox> boxes;
};
Moved move(const Transform& transform, std::uint64_t item, const std::vector<LabelledBox>& boxes) {
  const std::vector<std::uint8_t> pixels = {1, 2, 3, 4, 5, 6, 7, 8}, mask = {11, 12, 13, 14, 15, 16, 17, 18};
  Moved result{std::vector<std::uint8_t>(8), std::vector<std::uint8_t>(8), boxes};
  RandomStream random(1, item, 0);
  transform.apply({{1, 2, 4}, pixels, mask}, {{1, 2, 4}, result.pixels, result.mask}, result.boxes, random);
  return result;
}

TEST(Targets, ShiftsMoveAllOfThemAlikeAndDropWhatLeaves) {
  // Of the two boxes one covers the left half, one the right column.
  const std::vector<LabelledBox> boxes = {{0, 0, 0.5f, 1, 0}, {0.75f, 0, 1, 1, 1}};
  bool dropped = false, cut = false;
  for (std::uint64_t item = 0; item < 200; ++item) {
    const Moved moved = move(RandomShift(1), item, boxes);
    for (std::size_t i = 0; i < 8; ++i) {
      EXPECT_EQ(moved.mask[i], moved.pixels[i] == 0 ? kIgnoredPixel : moved.pixels[i] + 10);
    }
    // Where pixel 6 has gone tells the offset; it stays inside when the shift is not downwards.
    const auto at = std::ranges::find(moved.pixels, 6) - moved.pixels.begin();
    if (at == 8) continue;
    const auto down = static_cast<float>(at / 4 - 1), right = static_cast<float>(at % 4 - 1);
    const auto cut_to = [](float x) { return std::clamp(x, 0.0f, 1.0f); };
    ASSERT_FALSE(moved.boxes.empty());
    EXPECT_EQ(moved.boxes[0], (LabelledBox{cut_to(right / 4), cut_to(down / 2), cut_to(0.5f + right / 4),
                                           cut_to(1 + down / 2), 0}));
    EXPECT_EQ(moved.boxes.size(), right > 0 ? 1u : 2u);
    dropped |= right > 0;
    cut |= right < 0;
  }
  EXPECT_TRUE(dropped && cut);
}

TEST(Targets, FlipsMirrorAllOfThem) {
  const std::vector<LabelledBox> boxes = {{0, 0.25f, 0.25f, 1, 2}};
  const Moved always = move(RandomHorizontalFlip(1), 0, boxes),
              never = move(RandomHorizontalFlip(0), 0, boxes);
  EXPECT_EQ(always.pixels, (std::vector<std::uint8_t>{4, 3, 2, 1, 8, 7, 6, 5}));
  EXPECT_EQ(always.mask, (std::vector<std::uint8_t>{14, 13, 12, 11, 18, 17, 16, 15}));
  EXPECT_EQ(always.boxes, (std::vector<LabelledBox>{{0.75f, 0.25f, 1, 1, 2}}));
  EXPECT_EQ(never.pixels, (std::vector<std::uint8_t>{1, 2, 3, 4, 5, 6, 7, 8}));
  EXPECT_EQ(never.boxes, boxes);
  int mirrored = 0;
  for (std::uint64_t item = 0; item < 1000; ++item)
    mirrored += move(RandomHorizontalFlip(), item, {}).pixels[0] == 4;
  EXPECT_NEAR(mirrored, 500, 60);
  expect_error<ArgumentError>([] { RandomHorizontalFlip(1.5f); }, "got 1.5");
}

TEST(Targets, AMaskMustBeAsLargeAsTheImage) {
  const ImagePipeline pipeline({1, 2, 4}, {}, {});
  const std::vector<std::uint8_t> pixels(8);
  std::vector<float> out(8);
  Target target{.mask = {1, 2}};
  RandomStream random(1, 2, 3);
  ImagePipeline::Scratch scratch;
  expect_error<ArgumentError>([&] { pipeline(pixels, out, target, random, scratch); }, "2x4", "2 pixels");
}

/// All that an epoch's batches hold.
std::vector<std::vector<double>> contents(const std::shared_ptr<const ImageDataset>& dataset, int workers,
                                          Device device) {
  const Transforms transforms = {std::make_shared<RandomShift>(3), std::make_shared<RandomHorizontalFlip>()};
  DataLoader loader(
      dataset, ImagePipeline(dataset->image_shape(), transforms, {}),
      {.batch_size = 4, .shuffle = true, .workers = workers, .prefetch = 1, .seed = 3, .device = device});
  std::vector<std::vector<double>> result;
  const auto add = [&](const auto& values) { result.emplace_back(values.begin(), values.end()); };
  for (const std::uint64_t epoch : {0, 1}) {
    loader.start_epoch(epoch);
    while (const Batch* batch = loader.next()) {
      EXPECT_EQ(batch->labels.device(), device);
      add(batch->images.values<float>());
      add(batch->labels.values<std::int64_t>());
      if (batch->boxes.defined()) add(batch->boxes.values<float>());
    }
  }
  return result;
}

TEST(Targets, AreTheSameForAnyNumberOfWorkersAndOnEveryDevice) {
  for (const TargetKind kind : {TargetKind::Boxes, TargetKind::Mask}) {
    const auto dataset = generated_shapes({.target = kind, .side = 16, .count = 18});
    const auto expected = contents(dataset, 0, Device::cpu());
    EXPECT_EQ(expected.size(), kind == TargetKind::Boxes ? 30u : 20u);  // 2 epochs of 5 batches
    for (const Device device : testing::test_devices()) {
      for (const int workers : {0, 1, 3}) EXPECT_EQ(contents(dataset, workers, device), expected) << workers;
    }
  }
}

TEST(Targets, BuffersAreUsedAgain) {
  const auto dataset = generated_shapes({.target = TargetKind::Boxes, .side = 16, .count = 40});
  DataLoader loader(dataset, ImagePipeline(dataset->image_shape(), {}, {}), {.batch_size = 2, .workers = 0});
  std::set<const void*> buffers;
  for (const std::uint64_t epoch : {0, 1}) {
    loader.start_epoch(epoch);
    while (const Batch* batch = loader.next()) {
      buffers.insert(batch->boxes.data());
      buffers.insert(batch->labels.data());
    }
  }
  EXPECT_EQ(buffers.size(), 4u);  // of two slots
}

}  // namespace
}  // namespace dlcuda

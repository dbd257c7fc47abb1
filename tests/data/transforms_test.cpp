#include "dlcuda/data/transforms.h"

#include <gtest/gtest.h>

#include <limits>
#include <set>
#include <string>
#include <vector>

#include "dlcuda/core/error.h"
#include "dlcuda/tests/support/temp_folder.h"

namespace dlcuda {
namespace {

using Pixels = std::vector<std::uint8_t>;

Pixels apply(const Transform& transform, const ImageShape& shape, const Pixels& image, std::uint64_t item = 0,
             std::uint32_t epoch = 0) {
  RandomStream random(random_key(1, RandomDomain::Augmentation), item, epoch);
  Pixels result(transform.output_shape(shape).pixels(), 77);
  std::vector<LabelledBox> none;
  const ImageShape after = transform.output_shape(shape);
  transform.apply({shape, image, {}}, {after, result, {}}, none, random);
  return result;
}

/// For sets: images that can be ordered.
std::string text_of(const Pixels& image) { return {image.begin(), image.end()}; }

std::vector<float> run(const ImagePipeline& pipeline, const Pixels& image) {
  RandomStream random(1, 2, 3);
  ImagePipeline::Scratch scratch;
  Target none;
  std::vector<float> result(pipeline.output_shape().pixels(), -99.0f);
  pipeline(image, result, none, random, scratch);
  return result;
}

TEST(Pad, CentresEachChannel) {
  const Pad pad(3, 5, 9);
  EXPECT_EQ(pad.output_shape({2, 1, 2}), (ImageShape{2, 3, 5}));
  EXPECT_EQ(apply(pad, {2, 1, 2}, {1, 2, 3, 4}), (Pixels{9, 9, 9, 9, 9, 9, 1, 2, 9, 9, 9, 9, 9, 9, 9,  //
                                                         9, 9, 9, 9, 9, 9, 3, 4, 9, 9, 9, 9, 9, 9, 9}));
}

TEST(Pad, LeavesAnImageOfTheSizeAlone) {
  EXPECT_EQ(apply(Pad(2, 2), {1, 2, 2}, {1, 2, 3, 4}), (Pixels{1, 2, 3, 4}));
}

TEST(Pad, RefusesLargerImages) {
  expect_error<ShapeError>([] { Pad(32, 32).output_shape({3, 33, 20}); }, "3x33x20", "32x32");
}

TEST(RandomShift, ReachesEveryOffsetAndFills) {
  std::set<std::string> seen;
  for (std::uint64_t item = 0; item < 400; ++item) {
    seen.insert(text_of(apply(RandomShift(1, 0), {1, 3, 3}, {0, 0, 0, 0, 5, 0, 0, 0, 0}, item)));
  }
  std::set<std::string> expected;
  for (std::size_t i = 0; i < 9; ++i) {
    Pixels image(9);
    image[i] = 5;
    expected.insert(text_of(image));
  }
  EXPECT_EQ(seen, expected);
}

TEST(RandomShift, FurtherThanTheImageIsWide) {
  // Some of the offsets push all pixels out.
  std::set<std::string> seen;
  for (std::uint64_t item = 0; item < 2000; ++item) {
    seen.insert(text_of(apply(RandomShift(4, 3), {1, 1, 2}, {1, 2}, item)));
  }
  EXPECT_TRUE(seen.contains("\3\3"));
  EXPECT_TRUE(seen.contains("\1\2"));
  EXPECT_TRUE(seen.contains("\2\3"));
}

TEST(RandomShift, FollowsFromItemAndEpochAlone) {
  const RandomShift shift(3);
  Pixels image(49);
  image[24] = 1;
  int other_epoch = 0;
  for (std::uint64_t item = 0; item < 50; ++item) {
    EXPECT_EQ(apply(shift, {1, 7, 7}, image, item, 4), apply(shift, {1, 7, 7}, image, item, 4));
    other_epoch += apply(shift, {1, 7, 7}, image, item, 4) != apply(shift, {1, 7, 7}, image, item, 5);
  }
  EXPECT_GT(other_epoch, 40);
}

TEST(RandomShift, RefusesANegativeDistance) {
  expect_error<ArgumentError>([] { RandomShift(-1); }, "-1");
}

TEST(ImagePipeline, WithoutTransformsGivesZeroToOne) {
  EXPECT_EQ(run(ImagePipeline({1, 1, 3}, {}, {}), {0, 51, 255}), (std::vector<float>{0.0f, 0.2f, 1.0f}));
}

TEST(ImagePipeline, NormalisesChannelByChannel) {
  const ImagePipeline pipeline({2, 1, 2}, {}, {{0.5f, 0.25f}, {0.5f, 0.125f}});
  EXPECT_EQ(run(pipeline, {0, 255, 0, 255}), (std::vector<float>{-1.0f, 1.0f, -2.0f, 6.0f}));
}

TEST(ImagePipeline, AppliesTransformsInOrder) {
  const ImagePipeline pipeline(
      {1, 1, 1},
      {std::make_shared<Pad>(1, 2, 51), std::make_shared<Pad>(3, 2, 255), std::make_shared<Pad>(3, 3, 0)},
      {});
  EXPECT_EQ(pipeline.output_shape(), (ImageShape{1, 3, 3}));
  EXPECT_EQ(run(pipeline, {102}), (std::vector<float>{1, 1, 0, 0.4f, 0.2f, 0, 1, 1, 0}));
}

TEST(ImagePipeline, RefusesWhatDoesNotFit) {
  const ImageShape grey{1, 4, 4}, colour{3, 4, 4};
  expect_error<ShapeError>([&] { ImagePipeline(grey, {std::make_shared<Pad>(3, 9)}, {}); }, "1x4x4", "3x9");
  expect_error<ArgumentError>([&] { ImagePipeline(grey, {nullptr}, {}); }, "missing");
  expect_error<ArgumentError>([&] { ImagePipeline(colour, {}, {{0.f, 0.f}, {1.f}}); }, "1 or 3", "got 2");
  expect_error<ArgumentError>([&] { ImagePipeline(grey, {}, {{0.f}, {0.f}}); }, "deviation 0");
  expect_error<ArgumentError>(
      [&] {
        ImagePipeline(grey, {}, {{std::numeric_limits<float>::quiet_NaN()}, {1.f}});
      },
      "mean nan");
  const ImagePipeline pipeline(grey, {}, {});
  expect_error<ArgumentError>([&] { run(pipeline, Pixels(15)); }, "15 bytes");
}

/// A target with a mask and some boxes.
Target full_target(const ImageShape& shape) {
  Target target;
  for (std::int64_t i = 0; i < shape.height * shape.width; ++i) {
    target.mask.push_back(static_cast<std::uint8_t>(i));
  }
  target.boxes = {{0, 0.25f, 0.5f, 1, 1}, {0.75f, 0, 1, 0.125f, 2}, {0.25f, 0.25f, 0.75f, 0.75f, 0}};
  return target;
}

TEST(ImagePipeline, OnePlacementIsTheSameAsItsTransformsOneByOne) {
  const auto pad = std::make_shared<Pad>(9, 8, 3);
  const auto shift = std::make_shared<RandomShift>(3, 3), far = std::make_shared<RandomShift>(20, 3);
  const auto flip = std::make_shared<RandomHorizontalFlip>();
  const std::vector<std::vector<std::shared_ptr<const Transform>>> chains = {{},
                                                                             {pad},
                                                                             {shift},
                                                                             {flip},
                                                                             {pad, shift},
                                                                             {shift, pad},
                                                                             {flip, shift},
                                                                             {shift, flip},
                                                                             {shift, shift},
                                                                             {flip, pad, flip},
                                                                             {shift, flip, shift},
                                                                             {far, flip}};
  const ImageShape shape{2, 6, 5};
  Pixels image(shape.pixels());
  for (std::size_t i = 0; i < image.size(); ++i) image[i] = static_cast<std::uint8_t>(4 * i + 5);
  for (const auto& chain : chains) {
    const ImagePipeline pipeline(shape, chain, {{0.25f}, {0.5f}});
    ASSERT_TRUE(pipeline.is_placement());
    EXPECT_EQ(pipeline.stored_shape(), shape);
    const ImageShape output = pipeline.output_shape();
    for (std::uint64_t item = 0; item < 100; ++item) {
      const std::uint64_t key = random_key(1, RandomDomain::Augmentation);
      RandomStream one(key, item, 0), other(key, item, 0);
      Target expected = full_target(shape), placed = expected;
      std::vector<float> floats(output.pixels());
      ImagePipeline::Scratch scratch;
      pipeline(image, floats, expected, one, scratch);
      const kernels::Placement placement = pipeline.place(placed, other, scratch);
      Tensor row = Tensor::empty({1, kernels::kPlacementFields}, DType::I32);
      *static_cast<kernels::Placement*>(row.data()) = placement;
      const Tensor y = kernels::augment(Tensor::from_values(image, {1, 2, 6, 5}), row,
                                        Tensor::from_values(pipeline.levels(), {2, 256}),
                                        {.height = output.height, .width = output.width});
      ASSERT_EQ(y.values<float>(), floats) << "item " << item << " of chain " << &chain - chains.data();
      EXPECT_EQ(placed.mask, expected.mask);
      EXPECT_EQ(placed.boxes, expected.boxes);
      EXPECT_EQ(one.bits(), other.bits()) << "not as many random numbers";
    }
  }
}

TEST(ImagePipeline, PlacementsWithDifferentFillsAreNotOne) {
  const ImagePipeline pipeline({1, 1, 1}, {std::make_shared<Pad>(1, 2, 51), std::make_shared<Pad>(3, 2, 255)},
                               {});
  EXPECT_FALSE(pipeline.is_placement());
  EXPECT_EQ(pipeline.stored_shape(), (ImageShape{1, 3, 2}));
  Target none;
  RandomStream random(1, 2, 3);
  ImagePipeline::Scratch scratch;
  expect_error<Error>([&] { pipeline.place(none, random, scratch); }, "one fill");
  Pixels result(6);
  pipeline.transform(Pixels{102}, result, none, random, scratch);
  EXPECT_EQ(result, (Pixels{255, 255, 102, 51, 255, 255}));
  expect_error<ArgumentError>(
      [&] { pipeline.transform(Pixels{1}, std::span(result).first(5), none, random, scratch); }, "5 bytes");
}

}  // namespace
}  // namespace dlcuda

#include "dlcuda/data/dataset.h"

#include <gtest/gtest.h>

#include <vector>

#include "dlcuda/core/error.h"
#include "dlcuda/tests/support/temp_folder.h"

namespace dlcuda {
namespace {

using Pixels = std::vector<std::uint8_t>;

std::shared_ptr<const ImageDataset> three() {
  return std::make_shared<MemoryDataset>(ImageShape{1, 1, 2}, std::vector<std::string>{"a", "b"},
                                         Pixels{1, 2, 3, 4, 5, 6}, Pixels{1, 0, 1});
}

TEST(MemoryDataset, ReadsImagesAndLabels) {
  const auto set = three();
  Pixels pixels(2);
  EXPECT_EQ(set->size(), 3);
  EXPECT_EQ(set->class_count(), 2);
  EXPECT_EQ(set->read(1, pixels), 0);
  EXPECT_EQ(pixels, (Pixels{3, 4}));
  EXPECT_EQ(count_per_class(*set), (std::vector<std::int64_t>{1, 2}));
}

TEST(MemoryDataset, RefusesWhatDoesNotFitTogether) {
  const ImageShape shape{1, 1, 2};
  expect_error<ArgumentError>([&] { MemoryDataset(shape, {"a"}, Pixels(5), Pixels(2)); }, "2 labels",
                              "5 bytes");
  expect_error<ArgumentError>([&] { MemoryDataset(shape, {"a"}, Pixels(4), Pixels(3)); }, "3 labels",
                              "4 bytes");
  expect_error<ArgumentError>([&] { MemoryDataset({1, 0, 2}, {"a"}, {}, {}); }, "1x0x2");
  expect_error<FormatError>(
      [&] {
        MemoryDataset(shape, {"a", "b"}, Pixels(4), {1, 2});
      },
      "image 1 has label 2", "2 classes");
}

TEST(MemoryDataset, RefusesReadsOutOfRange) {
  const auto set = three();
  Pixels pixels(2), wrong(3);
  expect_error<ArgumentError>([&] { set->read(3, pixels); }, "image 3", "there are 3");
  expect_error<ArgumentError>([&] { set->read(-1, pixels); }, "image -1");
  expect_error<ArgumentError>([&] { set->read(0, wrong); }, "2 bytes", "has 3");
}

TEST(SubsetDataset, IsAWindow) {
  const SubsetDataset subset(three(), 1, 2);
  Pixels pixels(2);
  EXPECT_EQ(subset.size(), 2);
  EXPECT_EQ(subset.class_names(), (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(subset.read(1, pixels), 1);
  EXPECT_EQ(pixels, (Pixels{5, 6}));
  expect_error<ArgumentError>([&] { subset.read(2, pixels); }, "there are 2");
}

TEST(SubsetDataset, RefusesRangesOutside) {
  expect_error<ArgumentError>([] { SubsetDataset(three(), 1, 3); }, "3 images from image 1", "dataset of 3");
  expect_error<ArgumentError>([] { SubsetDataset(three(), -1, 1); }, "from image -1");
  expect_error<ArgumentError>([] { SubsetDataset(three(), 0, -1); }, "-1 images");
  expect_error<ArgumentError>([] { SubsetDataset(nullptr, 0, 0); }, "no dataset");
}

}  // namespace
}  // namespace dlcuda

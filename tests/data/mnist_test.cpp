#include "dlcuda/data/mnist.h"

#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "dlcuda/core/error.h"
#include "dlcuda/tests/data/idx_files.h"

namespace dlcuda {
namespace {

TEST(Mnist, ReadsTheFourFiles) {
  TempFolder folder;
  write_mnist(folder.path(), 20, 10);
  const MnistParts parts = load_mnist(folder.path());
  EXPECT_EQ(parts.train->size(), 20);
  EXPECT_EQ(parts.test->size(), 10);
  EXPECT_EQ(parts.train->image_shape(), (ImageShape{1, 28, 28}));
  EXPECT_EQ(parts.train->class_count(), 10);
  std::vector<std::uint8_t> pixels(28 * 28);
  EXPECT_EQ(parts.train->read(13, pixels), 3);
  EXPECT_EQ(pixels[0], 7 * 13);
  EXPECT_EQ(pixels[5], 7 * 13 + 5);
}

TEST(Mnist, TakesEverySpellingAndGzip) {
  TempFolder folder;
  write_file(folder / "train-images.idx3-ubyte", idx_images(4));
  write_file(folder / "train-labels-idx1-ubyte.gz", gzip(idx_labels(4)));
  write_file(folder / "t10k-images.idx3-ubyte.gz", gzip(idx_images(2)));
  write_file(folder / "t10k-labels-idx1-ubyte", idx_labels(2));
  const MnistParts parts = load_mnist(folder.path());
  EXPECT_EQ(parts.train->size(), 4);
  EXPECT_EQ(parts.test->size(), 2);
}

TEST(Mnist, MissingFolder) {
  expect_error<IoError>([] { load_mnist("/nowhere/mnist"); }, "/nowhere/mnist", "does not exist");
}

TEST(Mnist, FileInsteadOfTheFolder) {
  TempFolder folder;
  write_file(folder / "file", idx_labels(1));
  expect_error<IoError>([&] { load_mnist(folder / "file"); }, "file", "not a folder");
}

TEST(Mnist, MissingFileListsWhatWasLookedFor) {
  TempFolder folder;
  write_mnist(folder.path());
  std::filesystem::remove(folder / "t10k-labels-idx1-ubyte");
  expect_error<IoError>([&] { load_mnist(folder.path()); }, folder.path().string(), "t10k-labels-idx1-ubyte,",
                        "t10k-labels-idx1-ubyte.gz", "t10k-labels.idx1-ubyte,", "t10k-labels.idx1-ubyte.gz");
}

TEST(Mnist, FolderInPlaceOfAFile) {
  TempFolder folder;
  write_mnist(folder.path());
  std::filesystem::remove(folder / "train-images-idx3-ubyte");
  std::filesystem::create_directory(folder / "train-images-idx3-ubyte");
  expect_error<IoError>([&] { load_mnist(folder.path()); }, "train-images-idx3-ubyte", "is a folder");
}

TEST(Mnist, CountsThatDiffer) {
  TempFolder folder;
  write_mnist(folder.path());
  write_file(folder / "train-labels-idx1-ubyte", idx_labels(19));
  expect_error<FormatError>([&] { load_mnist(folder.path()); }, "train-images-idx3-ubyte has 20 images",
                            "train-labels-idx1-ubyte has 19 labels", "differ");
}

TEST(Mnist, LabelAboveNine) {
  TempFolder folder;
  write_mnist(folder.path());
  Bytes labels = idx_labels(10);
  labels[8 + 6] = 10;
  write_file(folder / "t10k-labels-idx1-ubyte", labels);
  expect_error<FormatError>([&] { load_mnist(folder.path()); }, "t10k-labels-idx1-ubyte",
                            "label 10 of item 6", "above 9");
}

TEST(Mnist, ZeroImages) {
  TempFolder folder;
  write_mnist(folder.path());
  write_file(folder / "train-images-idx3-ubyte", idx_images(0));
  expect_error<FormatError>([&] { load_mnist(folder.path()); }, "train-images-idx3-ubyte", "zero items");
}

TEST(Mnist, ImagesOfAnotherSize) {
  TempFolder folder;
  write_mnist(folder.path());
  write_file(folder / "train-images-idx3-ubyte", idx_images(20, 32));
  expect_error<FormatError>([&] { load_mnist(folder.path()); }, "train-images-idx3-ubyte", "28x28",
                            "got 32x32");
}

TEST(Mnist, RealFiles) {
  const auto folder = shared_data_folder() / "mnist";
  if (!std::filesystem::exists(folder)) GTEST_SKIP() << "no MNIST at " << folder << " (DLCUDA_DATA_DIR)";
  const MnistParts parts = load_mnist(folder);
  EXPECT_EQ(count_per_class(*parts.train),
            (std::vector<std::int64_t>{5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949}));
  EXPECT_EQ(count_per_class(*parts.test),
            (std::vector<std::int64_t>{980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009}));
  // The mean and deviation that everyone normalises MNIST with, 0.1307 and 0.3081, come from these pixels.
  double sum = 0, squares = 0;
  std::vector<std::uint8_t> pixels(28 * 28);
  for (std::int64_t i = 0; i < parts.train->size(); ++i) {
    parts.train->read(i, pixels);
    for (const double p : pixels) sum += p, squares += p * p;
  }
  const double n = 60000.0 * 28 * 28, mean = sum / n;
  EXPECT_NEAR(mean / 255, 0.1307, 5e-5);
  EXPECT_NEAR(std::sqrt(squares / n - mean * mean) / 255, 0.3081, 5e-5);
}

}  // namespace
}  // namespace dlcuda

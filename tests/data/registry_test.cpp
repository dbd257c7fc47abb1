#include "dlcuda/data/registry.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <string>
#include <vector>

#include "dlcuda/core/error.h"
#include "dlcuda/tests/data/idx_files.h"

namespace dlcuda {
namespace {

/// Sets an environment variable, or removes it, until the end of the test.
class Environment {
 public:
  Environment(const char* name, const char* value) : name_(name) {
    if (const char* old = std::getenv(name)) old_ = old, had_ = true;
    set(value);
  }
  Environment(const Environment&) = delete;
  Environment& operator=(const Environment&) = delete;
  ~Environment() { set(had_ ? old_.c_str() : nullptr); }

 private:
  void set(const char* value) { value != nullptr ? ::setenv(name_, value, 1) : ::unsetenv(name_); }
  const char* name_;
  std::string old_;
  bool had_ = false;
};

std::vector<std::uint8_t> image(const ImageDataset& dataset, std::int64_t index) {
  std::vector<std::uint8_t> pixels(dataset.image_shape().pixels());
  dataset.read(index, pixels);
  return pixels;
}

TEST(Registry, Digits) {
  const DatasetSplits splits = open_dataset({});
  EXPECT_EQ(splits.name, "digits");
  EXPECT_FALSE(splits.validation_is_test);
  EXPECT_EQ(count_per_class(*splits.train), std::vector<std::int64_t>(10, 2000));
  EXPECT_EQ(count_per_class(*splits.validation), std::vector<std::int64_t>(10, 200));
  EXPECT_EQ(count_per_class(*splits.test), std::vector<std::int64_t>(10, 400));
  EXPECT_NE(image(*splits.train, 0), image(*splits.validation, 0));
  EXPECT_NE(image(*splits.validation, 0), image(*splits.test, 0));

  double sum = 0, squares = 0;
  for (std::int64_t i = 0; i < splits.train->size(); ++i) {
    for (const double p : image(*splits.train, i)) sum += p / 255, squares += p * p / 255 / 255;
  }
  const double n = 20000.0 * 28 * 28, mean = sum / n;
  EXPECT_NEAR(splits.normalization.mean.at(0), mean, 1e-4);
  EXPECT_NEAR(splits.normalization.std.at(0), std::sqrt(squares / n - mean * mean), 1e-4);
}

TEST(Registry, LimitTakesTheFirstImagesOfEachSplit) {
  const DatasetSplits all = open_dataset({}), few = open_dataset({.name = "digits", .limit = 30});
  EXPECT_EQ(few.train->size(), 30);
  EXPECT_EQ(few.validation->size(), 30);
  EXPECT_EQ(few.test->size(), 30);
  EXPECT_EQ(image(*few.validation, 29), image(*all.validation, 29));
  EXPECT_EQ(open_dataset({.name = "digits", .limit = 3000}).validation->size(), 2000);
}

TEST(Registry, MnistTrainsOnEverythingAndWatchesTheTest) {
  TempFolder folder;
  write_mnist(folder.path(), 20, 10);
  const DatasetSplits splits = open_dataset({.name = "mnist", .folder = folder.path()});
  EXPECT_TRUE(splits.validation_is_test);
  EXPECT_EQ(splits.train->size(), 20);
  EXPECT_EQ(splits.validation, splits.test);
  EXPECT_EQ(splits.test->size(), 10);
  EXPECT_NE(splits.description.find("10 to validate with (the test images)"), std::string::npos);
}

TEST(Registry, MnistHoldsOutTheLastTrainingImages) {
  TempFolder folder;
  write_mnist(folder.path(), 20, 10);
  const DatasetSplits splits =
      open_dataset({.name = "mnist", .folder = folder.path(), .limit = 4, .hold_out = 5});
  EXPECT_FALSE(splits.validation_is_test);
  EXPECT_EQ(splits.train->size(), 4);
  EXPECT_EQ(splits.validation->size(), 4);
  EXPECT_EQ(image(*splits.validation, 0)[0], 7 * 15);
  EXPECT_EQ(splits.test->size(), 4);
}

TEST(Registry, MnistIsLookedForInTheDataFolder) {
  TempFolder folder;
  std::filesystem::create_directory(folder / "mnist");
  write_mnist(folder / "mnist", 3, 2);
  const Environment environment("DLCUDA_DATA_DIR", folder.path().c_str());
  EXPECT_EQ(open_dataset({.name = "mnist"}).train->size(), 3);
}

TEST(Registry, MnistWithoutAFolder) {
  const Environment environment("DLCUDA_DATA_DIR", nullptr);
  expect_error<ArgumentError>([] { open_dataset({.name = "mnist"}); }, "--data-dir", "DLCUDA_DATA_DIR");
}

TEST(Registry, MnistInAMissingFolder) {
  expect_error<IoError>([] { open_dataset({.name = "mnist", .folder = "/nowhere"}); }, "/nowhere",
                        "does not exist");
}

TEST(Registry, UnknownNames) {
  expect_error<ArgumentError>([] { open_dataset({.name = "minst"}); }, "no dataset 'minst'", "digits, mnist",
                              "did you mean 'mnist'?");
  expect_error<ArgumentError>([] { open_dataset({.name = "imagenet"}); }, "there are digits, mnist");
}

TEST(Registry, RequestsOutOfRange) {
  expect_error<ArgumentError>([] { open_dataset({.name = "digits", .limit = -1}); }, "limit", "-1");
  expect_error<ArgumentError>([] { open_dataset({.name = "digits", .folder = "/data"}); }, "embedded",
                              "/data");
  expect_error<ArgumentError>([] { open_dataset({.name = "digits", .hold_out = 9}); }, "hold_out", "9");
  TempFolder folder;
  write_mnist(folder.path(), 20, 10);
  for (const std::int64_t hold_out : {-1, 20, 21}) {
    expect_error<ArgumentError>(
        [&] { open_dataset({.name = "mnist", .folder = folder.path(), .hold_out = hold_out}); }, "hold",
        std::to_string(hold_out));
  }
}

}  // namespace
}  // namespace dlcuda

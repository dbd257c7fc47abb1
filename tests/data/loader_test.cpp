#include "dlcuda/data/loader.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <numeric>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "dlcuda/core/error.h"
#include "dlcuda/data/digits.h"
#include "dlcuda/kernels/copy.h"
#include "dlcuda/tests/support/compare.h"
#include "dlcuda/tests/support/devices.h"
#include "dlcuda/tests/support/temp_folder.h"

namespace dlcuda {
namespace {

/// A failure that only the test knows.
class DiskOnFire : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// 2x3 images: pixel p of image i is (i + p) mod 256, its label i mod 4. Some reads can be made slow, wrong
/// or fail.
class Numbered : public ImageDataset {
 public:
  explicit Numbered(std::int64_t size) : size_(size) {}
  std::int64_t size() const override { return size_; }
  ImageShape image_shape() const override { return {1, 2, 3}; }
  const std::vector<std::string>& class_names() const override { return names_; }

  std::atomic<std::int64_t> burning = -1;
  std::int64_t mislabelled = -1, wrong_label = 4;
  bool slow = false;

 private:
  void read_image(std::int64_t index, std::span<std::uint8_t> pixels, Target& target) const override {
    if (index == burning.load()) throw DiskOnFire("image " + std::to_string(index) + " burns");
    if (slow) std::this_thread::sleep_for(std::chrono::microseconds(index * 37 % 5 * 100));
    for (std::size_t p = 0; p < pixels.size(); ++p)
      pixels[p] = static_cast<std::uint8_t>(std::size_t(index) + p);
    target.label = index == mislabelled ? wrong_label : index % 4;
  }

  std::int64_t size_;
  std::vector<std::string> names_ = {"a", "b", "c", "d"};
};

ImagePipeline plain(const ImageDataset& dataset) {
  return ImagePipeline(dataset.image_shape(), {}, {{0.f}, {1.f / 255}});
}

struct Contents {
  std::vector<Shape> shapes;
  std::vector<float> pixels;
  std::vector<std::int64_t> labels;
  bool operator==(const Contents&) const = default;
};

Contents read_epoch(DataLoader& loader, std::uint64_t epoch) {
  Contents contents;
  loader.start_epoch(epoch);
  while (const Batch* batch = loader.next()) {
    contents.shapes.push_back(batch->images.shape());
    const auto pixels = batch->images.values<float>();
    const auto labels = batch->labels.values<std::int64_t>();
    contents.pixels.insert(contents.pixels.end(), pixels.begin(), pixels.end());
    contents.labels.insert(contents.labels.end(), labels.begin(), labels.end());
  }
  return contents;
}

/// Which images came, told by their first pixels.
std::vector<int> image_numbers(const Contents& contents) {
  std::vector<int> numbers;
  for (std::size_t i = 0; i < contents.pixels.size(); i += 6) {
    numbers.push_back(static_cast<int>(contents.pixels[i] + 0.5f));
  }
  return numbers;
}

std::vector<int> counted(int count) {
  std::vector<int> numbers(static_cast<std::size_t>(count));
  std::iota(numbers.begin(), numbers.end(), 0);
  return numbers;
}

TEST(DataLoader, GoesThroughTheDatasetInOrder) {
  const auto dataset = std::make_shared<Numbered>(10);
  DataLoader loader(dataset, plain(*dataset), {.batch_size = 4});
  EXPECT_EQ(loader.batches(), 3);
  EXPECT_EQ(loader.images(), 10);
  const Contents contents = read_epoch(loader, 0);
  EXPECT_EQ(contents.shapes, (std::vector<Shape>{{4, 1, 2, 3}, {4, 1, 2, 3}, {2, 1, 2, 3}}));
  EXPECT_EQ(image_numbers(contents), counted(10));
  EXPECT_EQ(contents.labels, (std::vector<std::int64_t>{0, 1, 2, 3, 0, 1, 2, 3, 0, 1}));
  EXPECT_EQ(std::vector<float>(contents.pixels.begin() + 6, contents.pixels.begin() + 12),
            (std::vector<float>{1, 2, 3, 4, 5, 6}));
  EXPECT_EQ(loader.next(), nullptr);
  EXPECT_TRUE(read_epoch(loader, 1) == contents);  // not shuffled: the same again
}

TEST(DataLoader, DropsALastBatchThatIsNotFull) {
  const auto dataset = std::make_shared<Numbered>(10);
  DataLoader loader(dataset, plain(*dataset), {.batch_size = 4, .drop_last = true});
  EXPECT_EQ(loader.batches(), 2);
  EXPECT_EQ(loader.images(), 8);
  EXPECT_EQ(image_numbers(read_epoch(loader, 0)), counted(8));
}

TEST(DataLoader, TakesABatchLargerThanTheDataset) {
  const auto dataset = std::make_shared<Numbered>(3);
  DataLoader loader(dataset, plain(*dataset), {.batch_size = std::int64_t{1} << 60});
  EXPECT_EQ(read_epoch(loader, 0).shapes, (std::vector<Shape>{{3, 1, 2, 3}}));
}

TEST(DataLoader, ShufflesByEpochAndSeed) {
  const auto dataset = std::make_shared<Numbered>(200);
  LoaderOptions options{.batch_size = 7, .shuffle = true, .seed = 5};
  DataLoader loader(dataset, plain(*dataset), options), twin(dataset, plain(*dataset), options);
  options.seed = 6;
  DataLoader other(dataset, plain(*dataset), options);
  const auto first = image_numbers(read_epoch(loader, 0)), second = image_numbers(read_epoch(loader, 1));
  for (auto order : {first, second}) {
    std::ranges::sort(order);
    EXPECT_EQ(order, counted(200));
  }
  EXPECT_NE(first, counted(200));
  EXPECT_NE(first, second);
  EXPECT_EQ(second, image_numbers(read_epoch(twin, 1)));  // whatever came before
  EXPECT_EQ(first, image_numbers(read_epoch(loader, 0)));
  EXPECT_NE(first, image_numbers(read_epoch(other, 0)));
}

TEST(DataLoader, TheOrderOfASeedNeverChanges) {
  const auto dataset = std::make_shared<Numbered>(8);
  DataLoader loader(dataset, plain(*dataset), {.batch_size = 8, .shuffle = true, .seed = 1});
  EXPECT_EQ(image_numbers(read_epoch(loader, 0)), (std::vector<int>{5, 3, 1, 2, 0, 6, 4, 7}));
  EXPECT_EQ(image_numbers(read_epoch(loader, 1)), (std::vector<int>{3, 4, 5, 6, 0, 2, 7, 1}));
}

TEST(DataLoader, TheNumberOfWorkersChangesNothing) {
  const auto dataset = generate_digits(1, 0, 300);
  const auto epochs = [&](int workers, int prefetch) {
    ImagePipeline pipeline(dataset->image_shape(),
                           {std::make_shared<Pad>(32, 32), std::make_shared<RandomShift>(2)},
                           {{0.1f}, {0.3f}});
    DataLoader loader(
        dataset, std::move(pipeline),
        {.batch_size = 16, .shuffle = true, .workers = workers, .prefetch = prefetch, .seed = 9});
    return std::vector{read_epoch(loader, 0), read_epoch(loader, 1)};
  };
  const auto expected = epochs(0, 1);
  EXPECT_FALSE(expected[0] == expected[1]);
  EXPECT_TRUE(epochs(1, 2) == expected);
  EXPECT_TRUE(epochs(3, 1) == expected);
  EXPECT_TRUE(epochs(3, 4) == expected);
}

TEST(DataLoader, SlowReadsDoNotChangeTheOrder) {
  const auto dataset = std::make_shared<Numbered>(60);
  dataset->slow = true;
  DataLoader loader(dataset, plain(*dataset), {.batch_size = 2, .workers = 3});
  EXPECT_EQ(image_numbers(read_epoch(loader, 0)), counted(60));
}

TEST(DataLoader, UsesItsBuffersAgain) {
  const auto dataset = std::make_shared<Numbered>(100);
  DataLoader loader(dataset, plain(*dataset), {.batch_size = 2, .workers = 2, .prefetch = 2});
  std::set<const void*> buffers;
  for (const std::uint64_t epoch : {0, 1, 2}) {
    loader.start_epoch(epoch);
    while (const Batch* batch = loader.next()) buffers.insert(batch->labels.data());
  }
  EXPECT_EQ(buffers.size(), 5u);  // two workers with two batches each, and the one in use
}

TEST(DataLoader, MarksABufferThatWillBeUsedAgain) {
  const auto dataset = std::make_shared<Numbered>(100);
  DataLoader loader(dataset, plain(*dataset), {.batch_size = 2});
  loader.start_epoch(0);
  const Tensor kept = loader.next()->labels;
  const auto version = kept.version();
  loader.next();
  EXPECT_GT(kept.version(), version);
}

class DataLoaderWorkers : public ::testing::TestWithParam<int> {};
INSTANTIATE_TEST_SUITE_P(Workers, DataLoaderWorkers, ::testing::Values(0, 1, 3));

TEST_P(DataLoaderWorkers, ErrorsComeInTheirBatchWithTheirType) {
  const auto dataset = std::make_shared<Numbered>(40);
  dataset->burning = 21;
  DataLoader loader(dataset, plain(*dataset), {.batch_size = 4, .workers = GetParam()});
  loader.start_epoch(0);
  for (int batch = 0; batch < 5; ++batch) ASSERT_NE(loader.next(), nullptr);
  expect_error<DiskOnFire>([&] { loader.next(); }, "image 21 burns");
  EXPECT_EQ(loader.next(), nullptr);
  dataset->burning = -1;
  EXPECT_EQ(image_numbers(read_epoch(loader, 1)), counted(40));
}

TEST_P(DataLoaderWorkers, LabelsOutsideTheClasses) {
  for (const std::int64_t label : {4, -1}) {
    const auto dataset = std::make_shared<Numbered>(40);
    dataset->mislabelled = 3;
    dataset->wrong_label = label;
    DataLoader loader(dataset, plain(*dataset), {.batch_size = 4, .workers = GetParam()});
    loader.start_epoch(0);
    expect_error<FormatError>([&] { loader.next(); }, "image 3 has label " + std::to_string(label),
                              std::string("expected 0 to 3"));
  }
}

TEST_P(DataLoaderWorkers, CanBeLeftAtAnyTime) {
  const auto dataset = std::make_shared<Numbered>(40);
  dataset->slow = true;
  const LoaderOptions options{.batch_size = 2, .workers = GetParam()};
  { DataLoader loader(dataset, plain(*dataset), options); }
  {
    DataLoader loader(dataset, plain(*dataset), options);
    loader.start_epoch(0);
  }
  for (int batches = 1; batches <= 20; batches += 6) {
    DataLoader loader(dataset, plain(*dataset), options);
    loader.start_epoch(0);
    for (int i = 0; i < batches; ++i) ASSERT_NE(loader.next(), nullptr);
  }
  dataset->burning = 1;
  DataLoader loader(dataset, plain(*dataset), options);
  loader.start_epoch(0);
}

TEST_P(DataLoaderWorkers, CanStartAgainAtAnyTime) {
  const auto dataset = std::make_shared<Numbered>(40);
  DataLoader loader(dataset, plain(*dataset), {.batch_size = 3, .workers = GetParam()});
  for (int batches = 0; batches < 14; ++batches) {
    loader.start_epoch(0);
    for (int i = 0; i < batches; ++i) ASSERT_NE(loader.next(), nullptr);
  }
  EXPECT_EQ(image_numbers(read_epoch(loader, 0)), counted(40));
}

TEST_P(DataLoaderWorkers, NeedsAnEpoch) {
  const auto dataset = std::make_shared<Numbered>(4);
  DataLoader loader(dataset, plain(*dataset), {.workers = GetParam()});
  expect_error<Error>([&] { loader.next(); }, "start_epoch");
}

TEST(DataLoader, RefusesBadOptions) {
  const auto dataset = std::make_shared<Numbered>(4);
  const auto refused = [&](const LoaderOptions& options, const char* words) {
    expect_error<ArgumentError>([&] { DataLoader(dataset, plain(*dataset), options); }, words);
  };
  refused({.batch_size = 0}, "batch size must be at least 1, got 0");
  refused({.workers = -1}, "got -1");
  refused({.workers = 257}, "got 257");
  refused({.prefetch = 0}, "prefetch");
  refused({.batch_size = 5, .drop_last = true}, "no batch at all");
  expect_error<ArgumentError>([&] { DataLoader(std::make_shared<Numbered>(0), plain(*dataset), {}); },
                              "empty");
  expect_error<ArgumentError>([&] { DataLoader(nullptr, plain(*dataset), {}); }, "empty");
  expect_error<ArgumentError>(
      [&] {
        DataLoader(dataset, ImagePipeline({1, 3, 3}, {}, {}), {});
      },
      "1x3x3", "1x2x3");
}

TEST(DataLoader, UploadsToTheDevice) {
  const testing::CudaForTest cuda = testing::cuda_for_test();
  if (!cuda.available) GTEST_SKIP() << cuda.reason;
  const auto dataset = std::make_shared<Numbered>(50);
  LoaderOptions options{.batch_size = 4, .shuffle = true, .workers = 2};
  DataLoader host(dataset, plain(*dataset), options);
  options.device = Device::cuda();
  DataLoader device(dataset, plain(*dataset), options);
  for (const std::uint64_t epoch : {0, 1}) EXPECT_TRUE(read_epoch(device, epoch) == read_epoch(host, epoch));
  device.start_epoch(2);
  EXPECT_EQ(device.next()->images.device(), Device::cuda());
  EXPECT_EQ(device.next()->labels.device(), Device::cuda());
}

/// A transform that no placement can express.
class Invert : public Transform {
 public:
  ImageShape output_shape(const ImageShape& input) const override { return input; }
  void apply(const ImageView& from, const MutableImageView& to, std::vector<LabelledBox>&,
             RandomStream&) const override {
    std::ranges::transform(from.pixels, to.pixels.begin(), [](std::uint8_t p) { return 255 - p; });
  }
};

// As the pipeline itself makes it, on every device, in every dtype and format, whoever moves the pixels.
TEST(DataLoader, DevicesDoWhatThePipelineDoes) {
  const auto dataset = std::make_shared<Numbered>(11);
  const std::vector<std::shared_ptr<const Transform>> moves = {std::make_shared<Pad>(3, 4),
                                                               std::make_shared<RandomShift>(1),
                                                               std::make_shared<RandomHorizontalFlip>()};
  for (const bool inverted : {false, true}) {
    auto transforms = moves;
    if (inverted) transforms.push_back(std::make_shared<Invert>());
    const ImagePipeline pipeline(dataset->image_shape(), transforms, {{0.3f}, {0.7f}});
    EXPECT_EQ(pipeline.is_placement(), !inverted);
    std::vector<float> expected;
    for (std::int64_t i = 0; i < 11; ++i) {
      std::vector<std::uint8_t> pixels(6);
      std::vector<float> floats(pipeline.output_shape().pixels());
      Target target;
      ImagePipeline::Scratch scratch;
      RandomStream random(random_key(7, RandomDomain::Augmentation), std::uint64_t(i), 2);
      dataset->read(i, pixels, target);
      pipeline(pixels, floats, target, random, scratch);
      expected.insert(expected.end(), floats.begin(), floats.end());
    }
    for (const Device device : testing::test_devices()) {
      for (const DType dtype : {DType::F32, DType::F16, DType::BF16}) {
        for (const MemoryFormat format : {MemoryFormat::Contiguous, MemoryFormat::ChannelsLast}) {
          DataLoader loader(
              dataset, pipeline,
              {.batch_size = 4, .workers = 2, .seed = 7, .device = device, .dtype = dtype, .format = format});
          std::vector<float> got;
          loader.start_epoch(2);
          while (const Batch* batch = loader.next()) {
            EXPECT_EQ(batch->images.dtype(), dtype);
            EXPECT_EQ(batch->images.format(), format);
            EXPECT_EQ(batch->images.device(), device);
            for (const double value : testing::as_doubles(batch->images)) got.push_back(float(value));
          }
          const Tensor rounded = kernels::cast(
              kernels::cast(Tensor::from_values(expected, {std::int64_t(expected.size())}), dtype),
              DType::F32);
          EXPECT_EQ(got, rounded.values<float>()) << to_string(testing::Variant{device, dtype, format});
        }
      }
    }
  }
}

TEST(DataLoader, RefusesImagesInOtherDtypes) {
  const auto dataset = std::make_shared<Numbered>(4);
  expect_error<DTypeError>([&] { DataLoader(dataset, plain(*dataset), {.dtype = DType::F64}); },
                           "f32, f16 or bf16, not f64");
}

}  // namespace
}  // namespace dlcuda

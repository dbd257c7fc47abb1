#include "dlcuda/data/registry.h"

#include <algorithm>
#include <cstdlib>

#include "dlcuda/core/check.h"
#include "dlcuda/core/text.h"
#include "dlcuda/data/digits.h"
#include "dlcuda/data/mnist.h"
#include "dlcuda/data/shapes.h"

namespace dlcuda {
namespace {

using Images = std::shared_ptr<const ImageDataset>;

Images first_images(const Images& dataset, std::int64_t limit) {
  if (limit == 0 || limit >= dataset->size()) return dataset;
  return std::make_shared<SubsetDataset>(dataset, 0, limit);
}

// Of the generated sets: the same whatever the seed of a run.
constexpr std::uint64_t kSetSeed = 1;

void refuse_folder_and_hold_out(const DatasetRequest& request) {
  DLCUDA_CHECK(
      request.folder.empty(), ArgumentError,
      "dataset {} is embedded and reads no folder, but {} was given; is another dataset meant, such as "
      "mnist?",
      request.name, request.folder.string());
  DLCUDA_CHECK(request.hold_out == 0, ArgumentError,
               "dataset {} has a validation split of its own; hold_out must be 0, got {}", request.name,
               request.hold_out);
}

DatasetSplits open_digits(const DatasetRequest& request) {
  refuse_folder_and_hold_out(request);
  // Disjoint ranges of one endless set.
  constexpr std::int64_t kTrain = 20000, kValidation = 2000, kTest = 4000;
  const auto part = [&](std::int64_t first, std::int64_t count) {
    return generate_digits(kSetSeed, first, request.limit == 0 ? count : std::min(count, request.limit));
  };
  DatasetSplits splits;
  splits.train = part(0, kTrain);
  splits.validation = part(kTrain, kValidation);
  splits.test = part(kTrain + kValidation, kTest);
  splits.normalization = {{0.1126f}, {0.2385f}};
  splits.description =
      fmt::format("generated digits: {} to train on, {} to validate with, {} for the final test",
                  splits.train->size(), splits.validation->size(), splits.test->size());
  return splits;
}

std::filesystem::path mnist_folder(const DatasetRequest& request) {
  if (!request.folder.empty()) return request.folder;
  const char* data = std::getenv("DLCUDA_DATA_DIR");
  DLCUDA_CHECK(
      data != nullptr && *data != '\0', ArgumentError,
      "dataset mnist needs the folder with its files: give --data-dir, or set DLCUDA_DATA_DIR to the folder "
      "that holds mnist/");
  return std::filesystem::path(data) / "mnist";
}

DatasetSplits open_mnist(const DatasetRequest& request) {
  const auto folder = mnist_folder(request);
  const MnistParts parts = load_mnist(folder);
  const std::int64_t rest = parts.train->size() - request.hold_out;
  DLCUDA_CHECK(rest > 0, ArgumentError, "dataset mnist: cannot hold out {} of {} training images",
               request.hold_out, parts.train->size());
  DatasetSplits splits;
  splits.validation_is_test = request.hold_out == 0;
  const Images train =
      splits.validation_is_test ? parts.train : std::make_shared<SubsetDataset>(parts.train, 0, rest);
  const Images validation = splits.validation_is_test
                                ? parts.test
                                : std::make_shared<SubsetDataset>(parts.train, rest, request.hold_out);
  splits.train = first_images(train, request.limit);
  splits.validation = first_images(validation, request.limit);
  splits.test = first_images(parts.test, request.limit);
  splits.normalization = {{0.1307f}, {0.3081f}};
  splits.description = fmt::format(
      "MNIST in {}: {} to train on, {} to validate with ({}), {} for the final test", folder.string(),
      splits.train->size(), splits.validation->size(),
      splits.validation_is_test ? "the test images" : "held out of the training images", splits.test->size());
  return splits;
}

DatasetSplits open_shapes(const DatasetRequest& request) {
  refuse_folder_and_hold_out(request);
  constexpr std::int64_t kSide = 64, kTrain = 8000, kValidation = 1000, kTest = 2000;
  for (const std::int64_t count : {request.train_count, request.validation_count, request.test_count}) {
    DLCUDA_CHECK(count >= 0, ArgumentError, "dataset shapes: a number of images must not be negative, got {}",
                 count);
  }
  const std::int64_t side = request.side == 0 ? kSide : request.side;
  // Each split begins in a place of its own, so that its size changes no other.
  const auto part = [&](std::int64_t split, std::int64_t wanted, std::int64_t usual) {
    const std::int64_t count = wanted == 0 ? usual : wanted;
    return generated_shapes({.target = request.target,
                             .side = side,
                             .seed = kSetSeed,
                             .first = split << 40,
                             .count = request.limit == 0 ? count : std::min(count, request.limit)});
  };
  DatasetSplits splits;
  splits.train = part(0, request.train_count, kTrain);
  splits.validation = part(1, request.validation_count, kValidation);
  splits.test = part(2, request.test_count, kTest);
  splits.normalization = shapes_normalization();
  splits.description = fmt::format(
      "generated shapes with {}, {}x{} pixels: {} to train on, {} to validate with, {} for the final test",
      to_string(request.target), side, side, splits.train->size(), splits.validation->size(),
      splits.test->size());
  return splits;
}

struct Entry {
  std::string name;
  std::vector<TargetKind> targets;  // that it has
  DatasetSplits (*open)(const DatasetRequest&);
};

const std::vector<Entry>& entries() {
  static const std::vector<Entry> all = {
      {"digits", {TargetKind::Class}, open_digits},
      {"mnist", {TargetKind::Class}, open_mnist},
      {"shapes", {TargetKind::Class, TargetKind::Boxes, TargetKind::Mask}, open_shapes}};
  return all;
}

std::vector<std::string> names_with(TargetKind target) {
  std::vector<std::string> names;
  for (const Entry& entry : entries()) {
    if (std::ranges::count(entry.targets, target) == 1) names.push_back(entry.name);
  }
  return names;
}

}  // namespace

const std::vector<std::string>& dataset_names() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> result;
    for (const Entry& entry : entries()) result.push_back(entry.name);
    return result;
  }();
  return names;
}

DatasetSplits open_dataset(const DatasetRequest& request) {
  const auto entry = std::ranges::find(entries(), request.name, &Entry::name);
  DLCUDA_CHECK(entry != entries().end(), ArgumentError, "there is no dataset '{}'; there are {}{}",
               request.name, fmt::join(dataset_names(), ", "), did_you_mean(request.name, dataset_names()));
  DLCUDA_CHECK(std::ranges::count(entry->targets, request.target) == 1, ArgumentError,
               "dataset {} has no {}, which this training needs; datasets with {}: {}", request.name,
               to_string(request.target), to_string(request.target),
               fmt::join(names_with(request.target), ", "));
  DLCUDA_CHECK(request.limit >= 0, ArgumentError,
               "dataset {}: the limit must be at least 1, or 0 for all, got {}", request.name, request.limit);
  DLCUDA_CHECK(request.hold_out >= 0, ArgumentError, "dataset {}: hold_out must not be negative, got {}",
               request.name, request.hold_out);
  DatasetSplits splits = entry->open(request);
  splits.name = request.name;
  return splits;
}

}  // namespace dlcuda

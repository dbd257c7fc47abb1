// Datasets by name, divided into what is trained on, what is watched while training, and the final test.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "dlcuda/core/macros.h"
#include "dlcuda/data/dataset.h"
#include "dlcuda/data/transforms.h"

namespace dlcuda DLCUDA_API {

struct DatasetRequest {
  /// "digits": the embedded generated set: 20,000 training, 2,000 validation and 4,000 test images, all
  /// different; the same whatever the seed of a run. "shapes": coloured shapes on textured noise
  /// (data/shapes.h), likewise. "mnist": the four files in `folder`.
  std::string name = "digits";
  /// Where the files lie. Without it, mnist is looked for in $DLCUDA_DATA_DIR/mnist.
  std::filesystem::path folder = {};
  /// Use the first `limit` images of each split only; 0 means all.
  std::int64_t limit = 0;
  /// mnist has no validation split of its own. By default nothing is cut out of its training images, and the
  /// test images are watched instead (see DatasetSplits::validation_is_test). Above 0, that many training
  /// images, the last ones, become the validation split.
  std::int64_t hold_out = 0;
  /// What must be known about the images. digits and mnist have classes only.
  TargetKind target = TargetKind::Class;
  /// Of shapes only; other sets have the sizes that they have. 0: 64 pixels; 8,000 training, 1,000 validation
  /// and 2,000 test images.
  std::int64_t side = 0;
  std::int64_t train_count = 0, validation_count = 0, test_count = 0;
};

struct DatasetSplits {
  std::string name;
  std::shared_ptr<const ImageDataset> train;
  std::shared_ptr<const ImageDataset> validation;
  std::shared_ptr<const ImageDataset> test;
  /// True where `validation` is the test split. Then validation must not choose anything, such as the best
  /// epoch's weights, or the final test would be too good.
  bool validation_is_test = false;
  Normalization normalization;  ///< mean and deviation of the whole training split's pixels
  std::string description;      ///< one line for people: what the splits are made of
};

/// The names that open_dataset knows.
const std::vector<std::string>& dataset_names();

/// Throws ArgumentError for an unknown name (and suggests the nearest), a kind of target that the dataset
/// does not have, a negative limit, a folder or hold_out that the dataset has no use for or that is missing
/// or too large, sides and counts out of range; IoError and FormatError as load_mnist does.
DatasetSplits open_dataset(const DatasetRequest& request);

}  // namespace dlcuda

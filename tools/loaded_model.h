// A zoo model with weights from a file, and what the file says of them.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "dlcuda/data/transforms.h"
#include "dlcuda/layers/load_report.h"
#include "dlcuda/layers/module.h"
#include "dlcuda/models/zoo.h"

namespace dlcuda::tool {

struct LoadedModel {
  const ZooModel& zoo;
  std::unique_ptr<Module> module;  ///< in inference, on the CPU
  std::int64_t classes = 0;
  ImageShape input;
  Normalization normalization;           ///< for input.channels channels
  std::vector<std::string> class_names;  ///< empty where the file has none

  std::map<std::string, std::string> metadata;  ///< all of it
  LoadReport report;
  bool folded = false;  ///< the weights have no batch norms, and so the model has none

  /// "7", or the name of class 7.
  std::string class_name(std::int64_t index) const;
};

/// Classes and channels are those of the weights; where the file has no batch norms, the model's are folded.
/// What the file's metadata say goes before what the zoo says; train/weight_metadata.h tells what that may
/// be. Throws FormatError for weights that are not the model's, IoError.
LoadedModel load_model(const ZooModel& model, const std::filesystem::path& weights,
                       const LoadOptions& options = {});

/// One name a line. Throws FormatError for an empty file, IoError.
std::vector<std::string> read_labels(const std::filesystem::path& path);

}  // namespace dlcuda::tool

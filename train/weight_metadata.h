// What is said of weights in the metadata of their file, besides the tensors: what predicting with them
// takes.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "dlcuda/core/macros.h"
#include "dlcuda/data/dataset.h"
#include "dlcuda/data/transforms.h"

namespace dlcuda DLCUDA_API {

struct WeightMetadata {
  std::optional<ImageShape> input = {};             ///< of one picture
  std::vector<std::string> classes = {};            ///< their names; empty: not said
  std::optional<Normalization> normalization = {};  ///< that the pictures had

  bool operator==(const WeightMetadata&) const = default;
};

/// As texts for save_safetensors(): "input": "3x224x224"; "classes": a JSON list of texts;
/// "normalization": JSON {"mean": [...], "std": [...]}.
std::map<std::string, std::string> to_metadata(const WeightMetadata& metadata);

/// The inverse. Other keys are left alone. Throws FormatError, with `path`, for values of another form, and
/// for means and deviations that are not finite or not positive.
WeightMetadata read_metadata(const std::map<std::string, std::string>& metadata, const std::string& path);

}  // namespace dlcuda

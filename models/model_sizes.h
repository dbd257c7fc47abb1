// For how many classes, and pictures of how many channels, a zoo model was built whose weights are in a file.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "dlcuda/core/macros.h"
#include "dlcuda/core/shape.h"
#include "dlcuda/models/zoo.h"

namespace dlcuda DLCUDA_API {

struct ModelSizes {
  std::int64_t classes = 0, channels = 0;
  bool operator==(const ModelSizes&) const = default;
};

/// Found by comparing the shapes of weights with those that the model has for other sizes; nothing is drawn
/// or allocated for that. Where the shapes do not say, or contradict each other, the published weights'
/// sizes: loading the weights then says what does not fit.
ModelSizes find_sizes(const ZooModel& model, const std::map<std::string, Shape>& weights);

}  // namespace dlcuda

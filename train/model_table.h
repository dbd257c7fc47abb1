// What a model is made of and what it costs, found by calling it in a planning scope: nothing runs, no memory
// is taken, so that the largest model is described at once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "dlcuda/core/macros.h"
#include "dlcuda/core/shape.h"
#include "dlcuda/data/dataset.h"
#include "dlcuda/layers/module.h"
#include "dlcuda/train/report.h"

namespace dlcuda DLCUDA_API {

struct ModelSummary {
  std::string model;  ///< "ResNet-18"
  Shape input, output;
  /// A row for each call of a module without children, in the order of the calls; of others where they
  /// compute convolutions or matrix products themselves. Parameters are counted where they are used first. A
  /// module that the model's names do not know has its parent's; the model itself is "(model)".
  std::vector<LayerSummary> layers;
  std::int64_t parameters = 0;
  std::int64_t multiply_adds = 0;    ///< of the whole batch, in inference
  std::size_t parameter_bytes = 0;   ///< and buffers
  std::size_t activation_bytes = 0;  ///< outputs of all layers
};

/// For a batch `input` (N, C, H, W), f32. Throws what the model throws for it.
ModelSummary summarize_model(const std::function<std::unique_ptr<Module>()>& make_model, const Shape& input);

/// The rows, for one image, of a model that there is already. It must be on the CPU, and is left in training
/// mode.
std::vector<LayerSummary> summarize_layers(Module& model, const ImageShape& input);

/// A table for people, and the totals.
std::string to_string(const ModelSummary& summary);

}  // namespace dlcuda

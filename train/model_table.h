// What a model is made of, found by running one image of zeros through it.
#pragma once

#include <vector>

#include "dlcuda/core/macros.h"
#include "dlcuda/data/dataset.h"
#include "dlcuda/layers/module.h"
#include "dlcuda/train/report.h"

namespace dlcuda DLCUDA_API {

/// A row for each call of a module without children, in the order of the calls; parameters are counted where
/// they are used first. The model must be on the CPU; it is left in training mode.
std::vector<LayerSummary> summarize_layers(Module& model, const ImageShape& input);

}  // namespace dlcuda

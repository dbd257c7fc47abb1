// Curves over the epochs of a run, as an SVG that needs nothing else.
#pragma once

#include <string>
#include <vector>

#include "dlcuda/core/macros.h"

namespace dlcuda DLCUDA_API {

struct Curve {
  std::string name;            ///< for the legend
  std::vector<double> values;  ///< of epoch 1, 2, ...; values that are not finite leave a gap
};

struct CurvePanel {
  std::string title;
  bool percent = false;  ///< values are fractions, written as percentages; the axis ends at 100%
  std::vector<Curve> curves;
};

/// Panels side by side, with axes, ticks and a legend; follows the reader's light or dark colour scheme.
/// `marked_epoch` (from 1; 0 for none) gets a dashed line and the words "best: epoch N".
std::string draw_curves(const std::string& title, const std::vector<CurvePanel>& panels,
                        std::size_t marked_epoch);

}  // namespace dlcuda

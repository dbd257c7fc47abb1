// What the cost table says: Markdown for people, JSON for machines, and a picture.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "dlcuda/benchmarks/cost/measure.h"
#include "dlcuda/tools/machine.h"
#include "dlcuda/train/power_law.h"

namespace dlcuda::cost {

/// A sweep's steps, training or inference.
struct StepSweep {
  std::string model;
  Axis axis = Axis::BatchSize;
  bool train = true;
  std::vector<StepCost> costs;

  /// Milliseconds against FLOPs: of the fastest round, which other programs disturb least.
  std::vector<Sample> time() const;
  /// Peak bytes against those of the tensors that grow: outputs, and where the model grows, weights.
  std::vector<Sample> memory() const;
};

/// What happens before the second step.
struct StartupSweep {
  std::string model;
  Axis axis = Axis::Depth;
  std::vector<StartupCost> costs;

  std::size_t phases() const { return costs.front().phases.size(); }
  /// Milliseconds of a phase against layers (depth) or parameters (width).
  std::vector<Sample> phase(std::size_t index) const;
};

struct CostReport {
  tool::Facts machine;
  std::string command;
  Conditions conditions;
  double most_flops = 0;
  std::vector<StepSweep> steps;
  std::vector<StartupSweep> startups;
};

/// Whether a law says more than `bound` beyond its own error.
bool grows_faster(const PowerLaw& law, double bound);

/// Two tables.
std::string to_markdown(const CostReport& report);
nlohmann::ordered_json to_json(const CostReport& report);
/// An SVG of time against FLOPs and memory against what grows of the tensors, both logarithmic.
std::string draw(const CostReport& report);

}  // namespace dlcuda::cost

// What one size of a sweep takes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "dlcuda/benchmarks/cost/sweeps.h"
#include "dlcuda/train/benchmark.h"
#include "dlcuda/train/options.h"

namespace dlcuda::cost {

struct Conditions {
  Device device = Device::cpu();
  Precision precision = Precision::Fp32;
  double seconds = 0.1;  ///< about so long is a round
  int rounds = 3;
};

struct StepCost {
  std::int64_t at = 0;
  double flops = 0;  ///< of the layers' multiply-adds, as `dlcuda bench` counts them
  /// Bytes that must be held at once. Training: pictures and outputs of all layers; parameters with their
  /// gradients and both moments. Inference: the largest output with its input; parameters twice, as loaded
  /// and in the layout of the CPU's primitives.
  double outputs = 0, weights = 0;
  Spread milliseconds;    ///< of a recorded step
  double peak_bytes = 0;  ///< of the device's allocator, from before there was a model
};

/// FLOPs of a step, without running it.
double flops_of(const Point& point, const Conditions& conditions, bool train);
/// Throws what the model throws for such a size, OutOfMemoryError among it.
StepCost measure_step(const Point& point, const Conditions& conditions, bool train);

struct StartupCost {
  std::int64_t at = 0;
  double layers = 0, parameters = 0;
  /// What happens once, in its order, and the milliseconds of it.
  std::vector<std::pair<std::string, double>> phases;
};

/// The least of `rounds` runs, each in a thread of its own, so that the CPU's primitives are made anew.
StartupCost measure_startup(const Point& point, const Conditions& conditions);

}  // namespace dlcuda::cost

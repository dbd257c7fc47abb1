// How long a piece of work takes that is done again and again: rounds of many calls, of which the median
// counts.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "dlcuda/core/device.h"
#include "dlcuda/core/macros.h"

namespace dlcuda DLCUDA_API {

/// What many measurements of one quantity have in common. Quantiles lie on straight lines between neighbours.
struct Spread {
  double median = 0;
  double least = 0, lower_quartile = 0, upper_quartile = 0, most = 0;
};

/// Throws ArgumentError for no values.
Spread spread_of(std::vector<double> values);

/// Rounds of one piece of work on one device. The device is waited for at the ends of a round only, so that
/// the host runs ahead as it does in a training.
class Benchmark {
 public:
  /// Warms up, and finds out how many calls take about `seconds`: that many make a round. Warming up is three
  /// calls (libraries make plans in the first one, recorded steps are recorded in the second) and a round of
  /// at most that length. Throws ArgumentError unless `seconds` is positive and finite, and what the work
  /// throws.
  Benchmark(Device device, std::function<void()> work, double seconds);

  /// Milliseconds of a call, the mean of one round.
  double round();
  std::int64_t calls_per_round() const { return calls_; }

 private:
  double run(std::int64_t calls);

  Device device_;
  std::function<void()> work_;
  std::int64_t calls_ = 1;
};

}  // namespace dlcuda

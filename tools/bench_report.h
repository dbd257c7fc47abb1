// What `dlcuda bench` says: a table for people, one line of JSON for machines.
#pragma once

#include <cstddef>
#include <optional>
#include <string>

#include "dlcuda/tools/bench_model.h"
#include "dlcuda/tools/machine.h"
#include "dlcuda/train/benchmark.h"
#include "dlcuda/train/device_peaks.h"

namespace dlcuda::tool {

struct BenchReport {
  BenchConfig config;
  Facts machine;
  BenchWork work = {};
  int threads = 0;
  std::string optimizer = {};     ///< of training
  bool recorded = false;          ///< whether steps were replayed
  std::string not_recorded = {};  ///< why not; "--eager"
  std::size_t launches = 0;       ///< of one recording
  int rounds = 0;
  std::int64_t steps_per_round = 0;
  Spread milliseconds = {};                       ///< of a step, over the rounds
  std::optional<Spread> eager_milliseconds = {};  ///< of a step that runs as it is, in turn with the others
  std::optional<Spread> speedup = {};             ///< eager to recorded, round by round
  std::size_t peak_memory = 0, reserved_memory = 0;  ///< of the device's allocator, bytes
  std::optional<DevicePeaks> peaks = {};
};

/// One line. Keys that benchmarks/peers/bench.py has, too, mean the same there.
std::string to_json(const BenchReport& report);
/// What is known before the first round, as one line of JSON: the same keys.
std::string setup_json(const BenchReport& report);
std::string to_text(const BenchReport& report);

}  // namespace dlcuda::tool

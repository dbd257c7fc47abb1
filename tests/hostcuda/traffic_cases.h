// The memory-bound operations at realistic shapes, with the bytes that they cannot do without.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "dlcuda/core/device.h"
#include "dlcuda/tests/hostcuda/traffic.h"

namespace dlcuda::hostcuda {

struct TrafficCase {
  std::string name;       ///< "batch_norm training, 4x64x32x32 bf16"
  std::string operation;  ///< the part of the name before the comma
  double necessary = 0;   ///< bytes: each input and each output once, and what the algorithm reads again
  std::function<void()> run;
  double least = 0.95;          ///< fewest bytes moved, in necessary ones: below, the count would be wrong
  double limit = 1.1;           ///< most of them
  double distinct_limit = 1.1;  ///< most, where the L2 serves what another block has fetched
  std::string reason{};         ///< why a limit is another, or what is necessary beside inputs and outputs

  void allow(double most, const char* why, double distinct = 1.1) {
    limit = most;
    distinct_limit = distinct;
    reason = why;
  }
};

std::vector<TrafficCase> traffic_cases(Device device);

}  // namespace dlcuda::hostcuda

// The memory-bound operations at realistic shapes, with the bytes that they cannot do without.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "dlcuda/core/device.h"
#include "dlcuda/tests/hostcuda/traffic.h"

namespace dlcuda::hostcuda {

struct TrafficCase {
  std::string name;  ///< "batch_norm training, 4x64x32x32 bf16"
  std::string
      operation;         ///< as profiles name it: "batch_norm_apply"; empty where the case is several of them
  double necessary = 0;  ///< bytes: each input and each output once, and what the algorithm reads again
  std::function<void()> run;
  double least = 0.95;  ///< fewest: below, the count would be wrong
  double limit = 1.1;    ///< of the bytes moved
  std::string reason{};  ///< why the limit is higher, or what is necessary beside inputs and outputs
};

std::vector<TrafficCase> traffic_cases(Device device);

}  // namespace dlcuda::hostcuda

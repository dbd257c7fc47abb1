// What a measurement was taken on and with: for whoever reads the figures later.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "dlcuda/core/device.h"

namespace dlcuda::tool {

/// Names and values, in the order in which they are shown: date (UTC), commit, version, compiler, device,
/// cpu, clocks, threads, load (of the last minute), libraries, and the variables of the environment that
/// change the speed, where they are set. What cannot be found out is left out.
using Facts = std::vector<std::pair<std::string, std::string>>;
Facts describe_machine(const DeviceChoice& device);

}  // namespace dlcuda::tool

// Operations that the count of traffic leaves out: those bound by arithmetic, and those whose traffic depends
// on the values.
#pragma once

#include <cstdint>
#include <vector>

#include "dlcuda/tests/support/kernel_cases.h"

namespace dlcuda::testing {

/// Batches grow with the scale / 8, extents of matrices with its root.
std::vector<KernelFamily> more_families(Device device, std::int64_t scale);

}  // namespace dlcuda::testing

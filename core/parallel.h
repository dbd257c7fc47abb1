// Threads of the CPU backend. Work is cut the same way for the same thread count, so results repeat bit for
// bit.
#pragma once

#include "dlcuda/core/macros.h"

namespace dlcuda DLCUDA_API {

/// Threads that CPU operations use; at first the cores this process may run on.
int num_threads();
/// For operations that the calling thread starts. Throws ArgumentError unless count >= 1.
void set_num_threads(int count);

}  // namespace dlcuda

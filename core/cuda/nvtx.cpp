#include "dlcuda/core/cuda/nvtx.h"

#include <nvtx3/nvToolsExt.h>

namespace dlcuda::cuda {

void push_range(const char* name) noexcept { nvtxRangePushA(name); }
void pop_range() noexcept { nvtxRangePop(); }

}  // namespace dlcuda::cuda

#include "dlcuda/core/current_device.h"

#include "dlcuda/core/cuda/runtime.h"

namespace dlcuda {

void settle_on(Device device) {
  if (device.is_cuda()) cuda::make_current(device.index);
}

}  // namespace dlcuda

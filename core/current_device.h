// The device that a program works on.
#pragma once

#include "dlcuda/core/device.h"

namespace dlcuda DLCUDA_API {

/// Makes a CUDA device the calling thread's, for good: what a program does that works on one device, so that
/// no context is made on another. Does nothing for the CPU. Throws DeviceError where the device is missing.
void settle_on(Device device);

}  // namespace dlcuda

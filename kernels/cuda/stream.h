// Where the work of the calling thread goes.
#pragma once

#include "dlcuda/core/cuda/launch.cuh"
#include "dlcuda/core/device.h"
#include "dlcuda/core/stream.h"

namespace dlcuda::kernels::cuda {

/// The current device, which the dispatch has made the device of the operation.
inline Device this_device() {
  int index = 0;
  DLCUDA_CUDA_CHECK(cudaGetDevice(&index));
  return Device::cuda(index);
}

/// The stream of this thread's work on the current device.
inline cudaStream_t this_stream() {
  return static_cast<cudaStream_t>(current_stream(this_device()).native());
}

}  // namespace dlcuda::kernels::cuda

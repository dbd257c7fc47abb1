// cuDNN, opened at first use, through NVIDIA's header-only cudnn-frontend. To be included by the sources that
// build graphs only: the frontend is large.
#pragma once

// The frontend calls cuDNN through a handle of dlopen, and needs no JSON for building and running graphs.
#define NV_CUDNN_FRONTEND_USE_DYNAMIC_LOADING
#define CUDNN_FRONTEND_SKIP_JSON_LIB
#include <cudnn_frontend.h>

#include "dlcuda/core/device.h"

namespace dlcuda::kernels::cuda {

/// Opens cuDNN unless that has been done. Throws DeviceError when it is missing or older than 9.
void open_cudnn();

/// This thread's handle for a device, set to `stream`. The device must be current.
cudnnHandle_t cudnn_handle(Device device, cudaStream_t stream);

/// Throws DeviceError unless the frontend succeeded; `doing` says what failed: "conv2d_forward: building a
/// plan".
void check_cudnn(cudnn_frontend::error_t status, const char* doing);

}  // namespace dlcuda::kernels::cuda

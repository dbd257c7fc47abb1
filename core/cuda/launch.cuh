// The one way in which kernels are launched, the error checks of CUDA calls, and small helpers that kernels
// share. The host shim (tests/hostcuda) compiles this very file against its own <cuda_runtime.h>.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <utility>

namespace dlcuda::cuda {

/// Throws DeviceError naming the expression, file and line; clears the error where it is not sticky.
void check(cudaError_t status, const char* expression, const char* file, int line);
#define DLCUDA_CUDA_CHECK(expression) ::dlcuda::cuda::check((expression), #expression, __FILE__, __LINE__)

/// Throws ShapeError-free DeviceError when a grid or block is beyond what any supported GPU takes.
void check_launch_limits(const char* kernel, dim3 grid, dim3 block, std::size_t shared_bytes);

/// Launches `kernel` and checks the launch. An empty grid is no launch: kernels take any size, 0 included.
template <typename... Parameters, typename... Arguments>
void launch(const char* name, void (*kernel)(Parameters...), dim3 grid, dim3 block, std::size_t shared_bytes,
            cudaStream_t stream, Arguments&&... arguments) {
  if (grid.x == 0 || grid.y == 0 || grid.z == 0) return;
  check_launch_limits(name, grid, block, shared_bytes);
  cudaLaunchConfig_t config{};
  config.gridDim = grid;
  config.blockDim = block;
  config.dynamicSmemBytes = shared_bytes;
  config.stream = stream;
  check(cudaLaunchKernelEx(&config, kernel, Parameters(std::forward<Arguments>(arguments))...), name,
        __FILE__, __LINE__);
}

}  // namespace dlcuda::cuda

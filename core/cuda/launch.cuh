// The one way in which kernels are launched, and the error checks of CUDA calls.
// The host shim (tests/hostcuda) compiles this very file against its own <cuda_runtime.h>.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <utility>

namespace dlcuda::cuda {

/// Throws DeviceError naming the expression, file and line; clears the error where it is not sticky. After a
/// sticky one the device is marked: every later error on it tells what made it unusable instead.
void check(cudaError_t status, const char* expression, const char* file, int line);
#define DLCUDA_CUDA_CHECK(expression) ::dlcuda::cuda::check((expression), #expression, __FILE__, __LINE__)

/// The dynamic shared memory that every kernel may have; more must be asked for.
inline constexpr std::size_t kDefaultSharedBytes = 48 << 10;

/// Notes the kernel as this thread's last launch, and throws DeviceError when grid, block or shared memory
/// are beyond what a GPU takes: blocks of 1 to 1024 threads, at most 64 deep; grids up to 2^31 - 1 by 65535
/// by 65535; 227 KiB.
void check_launch_limits(const char* kernel, dim3 grid, dim3 block, std::size_t shared_bytes);

/// The name that this thread launched last, for messages; "no kernel" before the first.
const char* last_launch() noexcept;

/// After cudaDeviceReset(): errors do not name what made a device unusable before.
void forget_lost_devices();

/// Launches `kernel` and checks the launch. `name` must live forever (a literal). An empty grid is no launch:
/// kernels take any size, 0 included.
template <typename... Parameters, typename... Arguments>
void launch(const char* name, void (*kernel)(Parameters...), dim3 grid, dim3 block, std::size_t shared_bytes,
            cudaStream_t stream, Arguments&&... arguments) {
  if (grid.x == 0 || grid.y == 0 || grid.z == 0) return;
  check_launch_limits(name, grid, block, shared_bytes);
  if (shared_bytes > kDefaultSharedBytes) {
    DLCUDA_CUDA_CHECK(
        cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, int(shared_bytes)));
  }
  cudaLaunchConfig_t config{};
  config.gridDim = grid;
  config.blockDim = block;
  config.dynamicSmemBytes = shared_bytes;
  config.stream = stream;
  check(cudaLaunchKernelEx(&config, kernel, static_cast<Parameters>(std::forward<Arguments>(arguments))...),
        name, __FILE__, __LINE__);
}

}  // namespace dlcuda::cuda

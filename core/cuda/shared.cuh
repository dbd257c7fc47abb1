// Dynamic shared memory: its size is the `shared_bytes` of launch().
#pragma once

#include <cuda_runtime.h>

namespace dlcuda::cuda {

/// The running block's dynamic shared memory, aligned to 16 bytes; the same memory for every T.
template <typename T>
__device__ __forceinline__ T* dynamic_shared() {
#if defined(__CUDACC__)
  extern __shared__ __align__(16) unsigned char dlcuda_dynamic_shared[];
  return reinterpret_cast<T*>(dlcuda_dynamic_shared);
#else
  return static_cast<T*>(::dlcuda::hostcuda::dynamic_shared_memory());  // the host shim of tests/hostcuda
#endif
}

}  // namespace dlcuda::cuda

// What every launcher starts with: a grid for so many items, and the index type that counts them.
#pragma once

#include <algorithm>

#include "dlcuda/core/tensor.h"
#include "dlcuda/kernels/cuda/stream.h"

namespace dlcuda::kernels::cuda {

using dlcuda::cuda::launch;

inline constexpr int kWarp = 32;
/// Threads of a block where nothing speaks for another number.
inline constexpr int kBlock = 256;

/// Blocks for `items` items, `per_block` at a time, for a grid-stride loop: enough to fill the device several
/// times over, and never more than a grid may have.
inline unsigned grid_for(std::int64_t items, std::int64_t per_block) {
  int multiprocessors = 0;
  DLCUDA_CUDA_CHECK(
      cudaDeviceGetAttribute(&multiprocessors, cudaDevAttrMultiProcessorCount, this_device().index));
  const std::int64_t blocks = items / per_block + (items % per_block != 0);
  return static_cast<unsigned>(std::min<std::int64_t>(blocks, std::int64_t{32} * multiprocessors));
}

/// Calls visitor.operator()<std::uint32_t>() when every index below `items` fits with room for one more grid
/// stride, else <std::uint64_t>: divisions by extents are several times cheaper in 32 bits.
template <typename Visitor>
void visit_index(std::int64_t items, Visitor&& visitor) {
  if (items <= std::int64_t{1} << 30) {
    visitor.template operator()<std::uint32_t>();
  } else {
    visitor.template operator()<std::uint64_t>();
  }
}

namespace {

__device__ __forceinline__ std::int64_t global_thread() {
  return static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
}
__device__ __forceinline__ std::int64_t global_threads() {
  return static_cast<std::int64_t>(gridDim.x) * blockDim.x;
}

}  // namespace
}  // namespace dlcuda::kernels::cuda

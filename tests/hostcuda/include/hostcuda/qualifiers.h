// CUDA's declaration qualifiers, and the built-in variables of a running thread.
#pragma once

#include "hostcuda/vector_types.h"

#define __global__
#define __device__
#define __host__
#define __constant__
#define __grid_constant__
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)
#define __align__(bytes) __attribute__((aligned(bytes)))

namespace dlcuda::hostcuda {
// Set where a block passes a __shared__ declaration, so that blocks without one need not be poisoned again.
extern bool static_shared_touched;
}  // namespace dlcuda::hostcuda

// Static, because blocks run one after another; "noinit" puts them into sections of their own
// (static_shared.cpp), so that all are poisoned before a block starts; "used", so that the compiler does not
// conclude that nobody else writes them.
#define __shared__                                  \
  ::dlcuda::hostcuda::static_shared_touched = true; \
  static __attribute__((used, noinit))

// Plain globals: launches are serialised, and whoever switches threads sets them.
extern uint3 threadIdx;
extern uint3 blockIdx;
extern dim3 blockDim;
extern dim3 gridDim;
inline constexpr int warpSize = 32;

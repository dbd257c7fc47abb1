// The host shim's <cuda_runtime.h>: what CUDA's own header gives to .cu files, for the host compiler. It is
// found first in the include path of everything that tests/hostcuda compiles; shim.h explains the whole.
//
// What differs from nvcc, and therefore holds for every kernel of the project:
//   - a function that declares __shared__ variables has internal linkage (anonymous namespace or static), as
//     their sections cannot be merged across files;
//   - `__shared__` comes first in its declaration: `__shared__ __align__(16) float tile[64];`
//   - `extern __shared__` is written only in core/cuda/shared.cuh: kernels call dynamic_shared<T>();
//   - kernels start through cudaLaunchKernelEx (core/cuda/launch.cuh), never through <<<>>>.
#pragma once

#include "hostcuda/device_functions.h"
#include "hostcuda/qualifiers.h"
#include "hostcuda/runtime_api.h"
#include "hostcuda/vector_types.h"

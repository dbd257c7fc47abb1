// How a family's header declares its backend functions; kernels/dispatch.h is how they are reached.
//
// A family's header declares its public functions on Tensors (they check, allocate and dispatch) and its
// backend functions on TensorViews (they compute). The latter exist once for each backend:
//
//   DLCUDA_BACKENDS(void conv2d_forward(...);)       cpu:: calls oneDNN;   cuda:: calls cuDNN or our kernels
//   DLCUDA_LOOP_BACKENDS(void relu_forward(...);)    cpu::v2, v3, v4:: our loops, built for three x86-64
//   levels
//
// Backend functions trust their arguments: shapes, dtypes and devices agree, outputs are dense unless the
// family's header says otherwise. CUDA ones work on the current device, on current_stream() of it.
#pragma once

#include "dlcuda/core/tensor.h"

// Not exported: programs call the public functions.
#define DLCUDA_BACKEND_NAMESPACE __attribute__((visibility("hidden")))

#define DLCUDA_BACKENDS(...)                \
  namespace cpu DLCUDA_BACKEND_NAMESPACE {  \
  __VA_ARGS__                               \
  }                                         \
  namespace cuda DLCUDA_BACKEND_NAMESPACE { \
  __VA_ARGS__                               \
  }

/// Inside namespace cpu: loops of ours, built for three x86-64 levels.
#define DLCUDA_CPU_LOOPS(...) \
  namespace v2 {              \
  __VA_ARGS__                 \
  }                           \
  namespace v3 {              \
  __VA_ARGS__                 \
  }                           \
  namespace v4 {              \
  __VA_ARGS__                 \
  }

#define DLCUDA_LOOP_BACKENDS(...)           \
  namespace cpu DLCUDA_BACKEND_NAMESPACE {  \
  DLCUDA_CPU_LOOPS(__VA_ARGS__)             \
  }                                         \
  namespace cuda DLCUDA_BACKEND_NAMESPACE { \
  __VA_ARGS__                               \
  }

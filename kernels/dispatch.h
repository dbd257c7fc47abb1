// How a public function reaches its CPU and CUDA twins, which kernels/backend.h declares. Internal.
#pragma once

#include "dlcuda/core/cuda/runtime.h"
#include "dlcuda/core/isa.h"
#include "dlcuda/kernels/backend.h"

/// DLCUDA_DISPATCH(x.device(), conv2d_forward(x.raw(), ...))
#define DLCUDA_DISPATCH(where, ...)                            \
  do {                                                         \
    const ::dlcuda::Device device_ = (where);                  \
    if (device_.is_cuda()) {                                   \
      const ::dlcuda::cuda::DeviceScope scope_(device_.index); \
      cuda::__VA_ARGS__;                                       \
    } else {                                                   \
      cpu::__VA_ARGS__;                                        \
    }                                                          \
  } while (false)

/// Calls the build of a CPU loop that this machine runs best, from a namespace that sees v2, v3 and v4.
#define DLCUDA_CALL_LOOPS(prefix, ...) \
  switch (::dlcuda::cpu_isa()) {       \
    case ::dlcuda::Isa::V4:            \
      prefix v4::__VA_ARGS__;          \
      break;                           \
    case ::dlcuda::Isa::V3:            \
      prefix v3::__VA_ARGS__;          \
      break;                           \
    case ::dlcuda::Isa::V2:            \
      prefix v2::__VA_ARGS__;          \
      break;                           \
  }

/// The same for families whose CPU side is loops of our own.
#define DLCUDA_DISPATCH_LOOPS(where, ...)                      \
  do {                                                         \
    const ::dlcuda::Device device_ = (where);                  \
    if (device_.is_cuda()) {                                   \
      const ::dlcuda::cuda::DeviceScope scope_(device_.index); \
      cuda::__VA_ARGS__;                                       \
    } else {                                                   \
      DLCUDA_CALL_LOOPS(cpu::, __VA_ARGS__)                    \
    }                                                          \
  } while (false)

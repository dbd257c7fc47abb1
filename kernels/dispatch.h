// How a public function reaches its CPU and CUDA twins, which kernels/backend.h declares. Internal.
#pragma once

#include "dlcuda/core/capture.h"
#include "dlcuda/core/cuda/runtime.h"
#include "dlcuda/core/isa.h"
#include "dlcuda/kernels/backend.h"

/// DLCUDA_DISPATCH(x.device(), conv2d_forward, x.raw(), ...)
#define DLCUDA_DISPATCH(where, function, ...)                  \
  do {                                                         \
    const ::dlcuda::Device device_ = (where);                  \
    if (device_.is_cpu()) {                                    \
      ::dlcuda::capture::call(cpu::function, __VA_ARGS__);     \
    } else if (::dlcuda::capture::planning() == nullptr) {               \
      const ::dlcuda::cuda::DeviceScope scope_(device_.index); \
      cuda::function(__VA_ARGS__);                             \
    }                                                          \
  } while (false)

namespace dlcuda::kernels {
/// Of three builds of a CPU loop, that which this machine runs best.
template <typename Function>
Function* best_loop(Function* v2, Function* v3, Function* v4) {
  const Isa isa = cpu_isa();
  return isa == Isa::V4 ? v4 : isa == Isa::V3 ? v3 : v2;
}
}  // namespace dlcuda::kernels
/// The same by name, from a namespace that sees v2, v3 and v4.
#define DLCUDA_BEST_LOOP(function) ::dlcuda::kernels::best_loop(v2::function, v3::function, v4::function)

/// DLCUDA_DISPATCH for families whose CPU side is loops of our own.
#define DLCUDA_DISPATCH_LOOPS(where, function, ...)                                              \
  do {                                                                                           \
    const ::dlcuda::Device device_ = (where);                                                    \
    if (device_.is_cpu()) {                                                                      \
      ::dlcuda::capture::call(                                                                   \
          ::dlcuda::kernels::best_loop(cpu::v2::function, cpu::v3::function, cpu::v4::function), \
          __VA_ARGS__);                                                                          \
    } else if (::dlcuda::capture::planning() == nullptr) {                                                 \
      const ::dlcuda::cuda::DeviceScope scope_(device_.index);                                   \
      cuda::function(__VA_ARGS__);                                                               \
    }                                                                                            \
  } while (false)

// How a public function reaches its CPU and CUDA twins, which kernels/backend.h declares, and where its calls
// get into profiles. Internal.
#pragma once

#include "dlcuda/core/capture.h"
#include "dlcuda/core/cuda/runtime.h"
#include "dlcuda/core/isa.h"
#include "dlcuda/kernels/backend.h"
#include "dlcuda/kernels/profiled_op.h"

namespace dlcuda::kernels {
/// Of three builds of a CPU loop, that which this machine runs best.
template <typename Function>
Function* best_loop(Function* v2, Function* v3, Function* v4) {
  const Isa isa = cpu_isa();
  return isa == Isa::V4 ? v4 : isa == Isa::V3 ? v3 : v2;
}
}  // namespace dlcuda::kernels
/// The same by name; `space` is nothing or a namespace and "::". Sanitizers get one build
/// (DlcudaOptions.cmake).
#if defined(DLCUDA_ONE_LEVEL)
#define DLCUDA_BEST_LOOP_IN(space, function) (&space DLCUDA_ONE_LEVEL::function)
#else
#define DLCUDA_BEST_LOOP_IN(space, function) \
  ::dlcuda::kernels::best_loop(space v2::function, space v3::function, space v4::function)
#endif
/// From a namespace that sees v2, v3 and v4.
#define DLCUDA_BEST_LOOP(function) DLCUDA_BEST_LOOP_IN(, function)

/// on_cpu: the CPU's function.
#define DLCUDA_DISPATCH_TO(on_cpu, where, function, ...)                                 \
  [](const ::dlcuda::Device device_, const auto&... arguments_) {                        \
    ::dlcuda::profile_detail::ProfileOp op_;                                             \
    if (::dlcuda::profiling()) [[unlikely]] {                                            \
      ::dlcuda::kernels::begin_op(op_, #function, #__VA_ARGS__, device_, arguments_...); \
    }                                                                                    \
    if (device_.is_cpu()) {                                                              \
      ::dlcuda::capture::call(on_cpu, arguments_...);                                    \
    } else if (::dlcuda::capture::queues_cuda_work()) {                                  \
      const ::dlcuda::cuda::DeviceScope scope_(device_.index);                           \
      cuda::function(arguments_...);                                                     \
    }                                                                                    \
  }(where, __VA_ARGS__)

/// DLCUDA_DISPATCH(x.device(), conv2d_forward, x.raw(), ...)
#define DLCUDA_DISPATCH(where, function, ...) DLCUDA_DISPATCH_TO(cpu::function, where, function, __VA_ARGS__)

/// DLCUDA_DISPATCH for families whose CPU side is loops of our own.
#define DLCUDA_DISPATCH_LOOPS(where, function, ...) \
  DLCUDA_DISPATCH_TO(DLCUDA_BEST_LOOP_IN(cpu::, function), where, function, __VA_ARGS__)

#include "dlcuda/kernels/activation.h"

#include "dlcuda/kernels/cpu/loops.h"
#include "dlcuda/kernels/functors/activation.h"

namespace dlcuda::kernels::cpu::DLCUDA_ISA {
void activation_forward(const TensorView& x, const TensorView& y, const ActivationParams& params) {
  visit_floating(x.dtype, [&]<typename T>() {
    using C = compute_t<T>;
    functors::visit_activation<C>(params, [&](auto f) {
      const T* __restrict from = x.as<const T>();
      T* __restrict to = y.as<T>();
      parallel_for(x.numel(), kGrain, [=](std::int64_t begin, std::int64_t end) {
        for (std::int64_t i = begin; i < end; ++i) to[i] = static_cast<T>(f.forward(static_cast<C>(from[i])));
      });
    });
  });
}

void activation_backward(const TensorView& dy, const TensorView& saved, const TensorView& dx,
                         const ActivationParams& params) {
  visit_floating(dy.dtype, [&]<typename T>() {
    using C = compute_t<T>;
    functors::visit_activation<C>(params, [&](auto f) {
      const T* __restrict grad = dy.as<const T>();
      const T* __restrict kept = saved.as<const T>();
      T* __restrict to = dx.as<T>();
      parallel_for(dy.numel(), kGrain, [=](std::int64_t begin, std::int64_t end) {
        for (std::int64_t i = begin; i < end; ++i) {
          to[i] = static_cast<T>(f.backward(static_cast<C>(grad[i]), static_cast<C>(kept[i])));
        }
      });
    });
  });
}

}  // namespace dlcuda::kernels::cpu::DLCUDA_ISA

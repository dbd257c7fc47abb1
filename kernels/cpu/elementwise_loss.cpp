#include "dlcuda/kernels/elementwise_loss.h"

#include "dlcuda/kernels/cpu/loops.h"
#include "dlcuda/kernels/functors/elementwise_loss.h"

namespace dlcuda::kernels::cpu::DLCUDA_ISA {

void element_loss_forward(const TensorView& x, const TensorView& target, const TensorView& weight,
                          const TensorView& y, bool sum, double divisor, const ElementLossParams& params) {
  visit_floating(x.dtype, [&]<typename T>() {
    using C = compute_t<T>;
    functors::visit_element_loss<C>(params, [&](auto loss) {
      const T *from = x.as<const T>(), *wanted = target.as<const T>(), *weights = weight.as<const T>();
      const std::int64_t period = weights ? weight.numel() : 1;
      const auto term = [=](std::int64_t i) {
        return loss.value(static_cast<C>(from[i]), static_cast<C>(wanted[i]),
                          weights ? static_cast<C>(weights[i % period]) : C(1));
      };
      if (!sum) {
        T* to = y.as<T>();
        parallel_for(x.numel(), kGrain / 4, [=](std::int64_t begin, std::int64_t end) {
          for (std::int64_t i = begin; i < end; ++i) to[i] = static_cast<T>(term(i));
        });
        return;
      }
      // One thread and one order; a loss has few terms beside what a step computes.
      double total = 0;
      for (std::int64_t i = 0; i < x.numel(); ++i) total += static_cast<double>(term(i));
      *y.as<C>() = static_cast<C>(total / divisor);
    });
  });
}

void element_loss_backward(const TensorView& dy, const TensorView& x, const TensorView& target,
                           const TensorView& weight, const TensorView& dx, bool sum, double divisor,
                           const ElementLossParams& params) {
  visit_floating(x.dtype, [&]<typename T>() {
    using C = compute_t<T>;
    functors::visit_element_loss<C>(params, [&](auto loss) {
      const T *from = x.as<const T>(), *wanted = target.as<const T>(), *weights = weight.as<const T>();
      const std::int64_t period = weights ? weight.numel() : 1;
      const T* grad = dy.as<const T>();
      const C shared = sum ? *dy.as<const C>() / static_cast<C>(divisor) : C(0);
      T* to = dx.as<T>();
      parallel_for(x.numel(), kGrain / 4, [=](std::int64_t begin, std::int64_t end) {
        for (std::int64_t i = begin; i < end; ++i) {
          const C slope = loss.gradient(static_cast<C>(from[i]), static_cast<C>(wanted[i]),
                                        weights ? static_cast<C>(weights[i % period]) : C(1));
          to[i] = static_cast<T>((sum ? shared : static_cast<C>(grad[i])) * slope);
        }
      });
    });
  });
}

}  // namespace dlcuda::kernels::cpu::DLCUDA_ISA

#include "dlcuda/kernels/loss_scale.h"

#include "dlcuda/kernels/cpu/loops.h"
#include "dlcuda/kernels/functors/loss_scale.h"

namespace dlcuda::kernels::cpu::DLCUDA_ISA {
namespace {

template <typename T>
DLCUDA_INLINE bool all_finite(const T* values, std::int64_t count) {
  int bad = 0;
  parallel_for(count, kGrain, [&bad, values](std::int64_t begin, std::int64_t end) {
    int found = 0;  // no early end: the loop is vectorised, and a value that is not finite is rare
    for (std::int64_t i = begin; i < end; ++i) {
      found |= functors::is_finite(static_cast<compute_t<T>>(values[i])) ? 0 : 1;
    }
    if (found != 0) {
#pragma omp atomic write
      bad = 1;
    }
  });
  return bad == 0;
}

}  // namespace

void settle_loss_scale(std::span<const GradientView> gradients, const LossScaleViews& state,
                       const LossScaleParams& params) {
  bool finite = true;
  for (const auto& [gradient] : gradients) {
    visit_floating(gradient.dtype, [&]<typename T>() {
      finite = finite && all_finite(gradient.as<const T>(), gradient.numel());
    });
  }
  functors::settle_loss_scale(finite, *state.scale.as<float>(), *state.unscale.as<float>(),
                              state.counts.as<std::int64_t>(), params);
}

}  // namespace dlcuda::kernels::cpu::DLCUDA_ISA

#include "dlcuda/kernels/dropout.h"

#include "dlcuda/kernels/cpu/loops.h"
#include "dlcuda/kernels/functors/dropout.h"

namespace dlcuda::kernels::cpu::DLCUDA_ISA {

void dropout(const TensorView& x, const TensorView& y, const DropoutParams& params) {
  const auto step = static_cast<std::uint32_t>(*static_cast<const std::int64_t*>(params.call.step.data()));
  const functors::DropoutMask mask{params.call.key, params.call.ordinal, step,
                                   functors::dropout_threshold(params.p)};
  visit_floating(x.dtype, [&]<typename T>() {
    using C = compute_t<T>;
    const C scale = static_cast<C>(functors::dropout_scale(params.p));
    const T* from = x.as<const T>();
    T* to = y.as<T>();
    const std::int64_t count = x.numel(), groups = (count + 3) / 4;
    parallel_for(groups, kGrain / 16, [=](std::int64_t begin, std::int64_t end) {
      for (std::int64_t group = begin; group < end; ++group) {
        const Philox4 words = mask.words(static_cast<std::uint64_t>(group));
        const std::int64_t left = count - group * 4;
        for (std::int64_t i = 0; i < (left < 4 ? left : 4); ++i) {
          const std::int64_t at = group * 4 + i;
          to[at] = static_cast<T>(mask.keep(words.value[i]) ? static_cast<C>(from[at]) * scale : C(0));
        }
      }
    });
  });
}

}  // namespace dlcuda::kernels::cpu::DLCUDA_ISA

#include "dlcuda/kernels/dropout.h"

#include "dlcuda/kernels/cpu/loops.h"
#include "dlcuda/kernels/functors/dropout.h"

namespace dlcuda::kernels::cpu::DLCUDA_ISA {

namespace {

DLCUDA_INLINE functors::DropoutMask mask_of(const DropoutParams& params) {
  const auto step = static_cast<std::uint32_t>(*static_cast<const std::int64_t*>(params.call.step.data()));
  return {params.call.key, params.call.ordinal, step, functors::dropout_threshold(params.p)};
}

}  // namespace

void dropout(const TensorView& x, const TensorView& y, const DropoutParams& params) {
  const functors::DropoutMask mask = mask_of(params);
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

void channel_dropout(const TensorView& x, const TensorView& y, std::int64_t samples,
                     const DropoutParams& params) {
  const functors::DropoutMask mask = mask_of(params);
  const std::int64_t outer = x.shape[0], channels = x.shape[1], inner = x.shape[2];
  visit_floating(x.dtype, [&]<typename T>() {
    using C = compute_t<T>;
    const C scale = static_cast<C>(functors::dropout_scale(params.p));
    const T* from = x.as<const T>();
    T* to = y.as<T>();
    // A decision holds for a channel of a sample: `inner` neighbours, or one element in each of the sample's
    // pixels.
    parallel_for(
        samples * channels, kGrain * samples / (outer * inner + 1) + 1,
        [=](std::int64_t begin, std::int64_t end) {
          for (std::int64_t item = begin; item < end; ++item) {
            const C factor = mask.keeps(static_cast<std::uint64_t>(item)) ? scale : C(0);
            const std::int64_t sample = item / channels, c = item % channels, pixels = outer / samples;
            for (std::int64_t p = sample * pixels; p < (sample + 1) * pixels; ++p) {
              for (std::int64_t i = (p * channels + c) * inner; i < (p * channels + c + 1) * inner; ++i) {
                to[i] = static_cast<T>(factor == C(0) ? C(0) : static_cast<C>(from[i]) * factor);
              }
            }
          }
        });
  });
}

}  // namespace dlcuda::kernels::cpu::DLCUDA_ISA

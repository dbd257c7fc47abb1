#include "dlcuda/kernels/random.h"

#include <cmath>

#include "dlcuda/kernels/cpu/loops.h"

namespace dlcuda::kernels::cpu::DLCUDA_ISA {
namespace {

/// x[4 g + i] = i-th of values(words of group g): one Philox call for four elements, as on the device.
template <typename Values>
DLCUDA_INLINE void fill_groups(const TensorView& x, const RandomCall& call, const Values& values) {
  const auto step = static_cast<std::uint32_t>(*static_cast<const std::int64_t*>(call.step.data()));
  const std::uint64_t key = call.key;
  const std::uint32_t ordinal = call.ordinal;
  const auto run = [&]<typename T>() {
    T* to = x.as<T>();
    const std::int64_t count = x.numel();
    parallel_for((count + 3) / 4, kGrain / 16, [=](std::int64_t begin, std::int64_t end) {
      for (std::int64_t group = begin; group < end; ++group) {
        const auto four = values(philox4x32_10(key, static_cast<std::uint64_t>(group), ordinal, step));
        const std::int64_t left = count - group * 4;
        for (int i = 0; i < (left < 4 ? left : 4); ++i) to[group * 4 + i] = static_cast<T>(four.value[i]);
      }
    });
  };
  x.dtype == DType::F64 ? run.template operator()<double>() : run.template operator()<float>();
}

template <typename C>
struct Four {
  C value[4];
};

}  // namespace

void fill_uniform(const TensorView& x, double low, double high, const RandomCall& call) {
  const auto begin = static_cast<float>(low), width = static_cast<float>(high - low);
  fill_groups(x, call, [=](const Philox4& words) {
    Four<float> four;
    for (int i = 0; i < 4; ++i) four.value[i] = begin + width * philox_uniform(words.value[i]);
    return four;
  });
}

void fill_normal(const TensorView& x, double mean, double deviation, const RandomCall& call) {
  fill_groups(x, call, [=](const Philox4& words) {
    // Words 0 and 1 give elements 0 and 1, words 2 and 3 the others; the radius word is shifted off zero.
    Four<double> four;
    for (int i = 0; i < 4; i += 2) {
      const double u = (static_cast<double>(words.value[i]) + 1) * 0x1p-32;
      const double angle = 6.283185307179586 * 0x1p-32 * static_cast<double>(words.value[i + 1]);
      const double radius = deviation * ::sqrt(-2 * ::log(u));
      four.value[i] = mean + radius * ::cos(angle);
      four.value[i + 1] = mean + radius * ::sin(angle);
    }
    return four;
  });
}

}  // namespace dlcuda::kernels::cpu::DLCUDA_ISA

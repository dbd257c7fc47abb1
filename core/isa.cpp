#include "dlcuda/core/isa.h"

#include <algorithm>
#include <cstdlib>
#include <string_view>

namespace dlcuda {
namespace {

Isa detect() {
  __builtin_cpu_init();
  Isa best = Isa::V2;
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2")) {
    best = Isa::V3;
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512vl")) {
      best = Isa::V4;
    }
  }
  if (const char* wish = std::getenv("DLCUDA_ISA")) {
    const std::string_view level = wish;
    if (level == "v2") best = Isa::V2;
    if (level == "v3") best = std::min(best, Isa::V3);
  }
  return best;
}

}  // namespace

Isa cpu_isa() {
  static const Isa isa = detect();
  return isa;
}

const char* to_string(Isa isa) {
  switch (isa) {
    case Isa::V4:
      return "x86-64-v4";
    case Isa::V3:
      return "x86-64-v3";
    case Isa::V2:
      return "x86-64-v2";
  }
  return "unknown";
}

}  // namespace dlcuda

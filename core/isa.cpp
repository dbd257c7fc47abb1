#include "dlcuda/core/isa.h"

#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

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

bool detect_amx() {
  if (cpu_isa() != Isa::V4 || std::getenv("DLCUDA_ISA") != nullptr) return false;
  // Not all compilers' __builtin_cpu_supports() know it: leaf 7 of CPUID, AMX-BF16 and AMX-TILE.
  constexpr unsigned kAmx = 1u << 22 | 1u << 24;
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  if (__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) == 0 || (edx & kAmx) != kAmx ||
      !__builtin_cpu_supports("avx512bf16")) {
    return false;
  }
  // Linux enlarges what it saves of a process when asked to: see its Documentation/arch/x86/xstate.rst.
  constexpr long kRequestPermission = 0x1023, kTileData = 18;
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}

}  // namespace

bool cpu_has_amx() {
  static const bool has = detect_amx();
  return has;
}

Isa cpu_isa() {
  static const Isa isa = detect();
  return isa;
}

const char* cpu_level() {
  switch (cpu_isa()) {
    case Isa::V4:
      return cpu_has_amx() ? "x86-64-v4 with AMX" : "x86-64-v4";
    case Isa::V3:
      return "x86-64-v3";
    case Isa::V2:
      return "x86-64-v2";
  }
  return "unknown";
}

}  // namespace dlcuda

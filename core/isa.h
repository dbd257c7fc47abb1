// Which build of the CPU loops runs: x86-64-v2, v3 (AVX2) or v4 (AVX-512), chosen once per process.
#pragma once

#include "dlcuda/core/macros.h"

namespace dlcuda DLCUDA_API {

enum class Isa { V2, V3, V4 };

/// The best level that this processor and its operating system support; DLCUDA_ISA=v2|v3|v4 lowers it.
Isa cpu_isa();
/// Whether tile registers multiply bf16 (AMX), beyond V4, and the operating system lets this process use
/// them. DLCUDA_ISA, also v4, goes without.
bool cpu_has_amx();

/// Both in words: "x86-64-v4 with AMX".
const char* cpu_level();

}  // namespace dlcuda

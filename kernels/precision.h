// How f32 convolutions and matrix products are computed on CUDA.
#pragma once

#include "dlcuda/core/macros.h"

namespace dlcuda {
namespace kernels DLCUDA_API {

/// Whether f32 convolutions and matrix products on CUDA may use TF32 tensor cores: inputs are rounded to 10
/// bits of fraction, sums stay f32, several times as fast. One switch for the process, on by default; the CPU
/// and the 16-bit formats do not know it. A call reads it when it is made.
bool allow_tf32();
void set_allow_tf32(bool allow);

}  // namespace kernels
}  // namespace dlcuda

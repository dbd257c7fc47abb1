// What becomes of a loss's terms.
#pragma once

#include <cstdint>

#include "dlcuda/core/macros.h"

namespace dlcuda {
namespace kernels DLCUDA_API {

enum class LossReduction : std::uint8_t { None, Mean, Sum };

}  // namespace kernels
}  // namespace dlcuda

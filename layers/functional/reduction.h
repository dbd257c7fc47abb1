// Reductions. See layers/functional.h.
#pragma once

#include <optional>

#include "dlcuda/kernels/reduce.h"

namespace dlcuda {
namespace functional DLCUDA_API {

using kernels::Reduction;

/// Sum or mean over one axis, or over everything. Max only where no gradient is asked for: ArgumentError.
Tensor reduce(const Tensor& x, Reduction reduction, std::optional<int> axis = {});

}  // namespace functional
}  // namespace dlcuda

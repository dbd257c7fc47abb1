// Pooling. See layers/functional.h.
#pragma once

#include "dlcuda/kernels/pool2d.h"

namespace dlcuda {
namespace functional DLCUDA_API {

using kernels::Pool2dParams;

Tensor avg_pool2d(const Tensor& x, const Pool2dParams& params = {});
Tensor max_pool2d(const Tensor& x, const Pool2dParams& params = {});

}  // namespace functional
}  // namespace dlcuda

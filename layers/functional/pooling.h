// Pooling. See layers/functional.h.
#pragma once

#include "dlcuda/kernels/pool2d.h"

namespace dlcuda {
namespace functional DLCUDA_API {

using kernels::Pool2dParams;

Tensor avg_pool2d(const Tensor& x, const Pool2dParams& params = {});
Tensor max_pool2d(const Tensor& x, const Pool2dParams& params = {});
/// To (N, C, height, width), by windows that divide the input evenly.
Tensor adaptive_avg_pool2d(const Tensor& x, std::array<std::int64_t, 2> size);
Tensor adaptive_max_pool2d(const Tensor& x, std::array<std::int64_t, 2> size);
/// To (N, C, 1, 1).
Tensor global_avg_pool2d(const Tensor& x);
Tensor global_max_pool2d(const Tensor& x);

}  // namespace functional
}  // namespace dlcuda

// What changes only the shape, the memory format or the dtype. See layers/functional.h.
#pragma once

#include "dlcuda/core/tensor.h"

namespace dlcuda {
namespace functional DLCUDA_API {

/// (N, ...) -> (N, product), in N, C, H, W order whatever the format (a copy for channels-last).
Tensor flatten(const Tensor& x);
/// Dense in N, C, H, W order.
Tensor contiguous(const Tensor& x);
Tensor to_format(const Tensor& x, MemoryFormat format);
Tensor cast(const Tensor& x, DType dtype);

}  // namespace functional
}  // namespace dlcuda

// Copies that change the dtype or the memory format, on one device.
#pragma once

#include "dlcuda/kernels/backend.h"

namespace dlcuda {
namespace kernels DLCUDA_API {

/// Another dtype, same format. Floating-point to integer rounds toward zero; f32 to 16 bits rounds to nearest
/// even. The same handle if nothing changes.
Tensor cast(const Tensor& x, DType dtype);
/// A dense copy in `format`; the same handle if x is that already. Needs four axes for ChannelsLast.
Tensor to_format(const Tensor& x, MemoryFormat format);
/// to_format(x, MemoryFormat::Contiguous): dense in N, C, H, W order, for any rank and for slices.
Tensor contiguous(const Tensor& x);

// Same shape, any strides, any dtypes.
DLCUDA_LOOP_BACKENDS(void copy(const TensorView& from, const TensorView& to);)

}  // namespace kernels
}  // namespace dlcuda

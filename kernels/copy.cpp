#include "dlcuda/kernels/copy.h"

#include "dlcuda/kernels/checks.h"
#include "dlcuda/kernels/dispatch.h"

namespace dlcuda::kernels {

Tensor cast(const Tensor& x, DType dtype) {
  require_defined("cast", "x", x);
  if (x.dtype() == dtype) return x;
  DLCUDA_CHECK(!(x.device().is_cuda() && (x.dtype() == DType::F64 || dtype == DType::F64)), DTypeError,
               "cast: f64 runs on the CPU only; move x with to(Device::cpu()) first");
  Tensor y = Tensor::empty(x.shape(), dtype, x.device(), x.format());
  DLCUDA_DISPATCH_LOOPS(x.device(), copy, x.raw(), y.raw());
  return y;
}

Tensor to_format(const Tensor& x, MemoryFormat format) {
  require_defined("to_format", "x", x);
  DLCUDA_CHECK(format != MemoryFormat::ChannelsLast || x.rank() == 4, ShapeError,
               "to_format: channels-last needs 4 axes (N, C, H, W), got shape {}", to_string(x.shape()));
  const bool already = format == MemoryFormat::ChannelsLast ? x.is_channels_last() : x.is_contiguous();
  if (already) return x.with_format(format);
  Tensor y = Tensor::empty(x.shape(), x.dtype(), x.device(), format);
  DLCUDA_DISPATCH_LOOPS(x.device(), copy, x.raw(), y.raw());
  return y;
}

Tensor contiguous(const Tensor& x) { return to_format(x, MemoryFormat::Contiguous); }

}  // namespace dlcuda::kernels

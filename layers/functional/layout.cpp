#include "dlcuda/layers/functional/layout.h"

#include "dlcuda/core/check.h"
#include "dlcuda/layers/recording.h"

namespace dlcuda::functional {

using autograd::any_requires_grad;
using autograd::BackwardContext;
using autograd::record;

Tensor flatten(const Tensor& x) {
  DLCUDA_CHECK(x.rank() >= 1, ShapeError, "flatten: expected a leading batch axis, got a scalar");
  const std::int64_t features = Shape(x.shape().extents().subspan(1)).numel();
  return contiguous(x).view(Shape{x.size(0), features});
}

Tensor contiguous(const Tensor& x) { return to_format(x, MemoryFormat::Contiguous); }

Tensor to_format(const Tensor& x, MemoryFormat format) {
  if (x.format() == format && x.is_dense()) return x;
  // Where both formats lie alike in memory (one channel, one pixel), only the name changes.
  if (format == MemoryFormat::Contiguous ? x.is_contiguous() : x.is_channels_last()) {
    return x.with_format(format);
  }
  Tensor y = kernels::to_format(x.detach(), format);
  if (!any_requires_grad({x})) return y;
  return record("to_format", std::move(y), {x}, [before = x.format()](const BackwardContext& context) {
    return std::vector{as_format(context.grad, before)};
  });
}

Tensor cast(const Tensor& x, DType dtype) {
  if (x.dtype() == dtype) return x;
  Tensor y = kernels::cast(x, dtype);
  if (!is_floating_point(dtype)) return y;
  return record("cast", std::move(y), {x}, [before = x.dtype()](const BackwardContext& context) {
    return std::vector{kernels::cast(context.grad, before)};
  });
}

}  // namespace dlcuda::functional

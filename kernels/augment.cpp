#include "dlcuda/kernels/augment.h"

#include <limits>

#include "dlcuda/kernels/checks.h"
#include "dlcuda/kernels/dispatch.h"

namespace dlcuda::kernels {

Tensor augment(const Tensor& x, const Tensor& placements, const Tensor& levels, const AugmentParams& params) {
  require_dtype("augment", "x", x, DType::U8);
  require_rank("augment", "x", x, 4);
  require_dense("augment", "x", x);
  const std::int64_t count = x.size(0), channels = x.size(1);
  require_dtype("augment", "placements", placements, DType::I32);
  require_device("augment", "placements", placements, x.device());
  require_shape("augment", "placements", placements, {count, kPlacementFields});
  require_contiguous("augment", "placements", placements);
  require_dtype("augment", "levels", levels, DType::F32);
  require_device("augment", "levels", levels, x.device());
  require_shape("augment", "levels", levels, {channels, 256});
  require_contiguous("augment", "levels", levels);
  constexpr std::int64_t kMost = std::numeric_limits<std::int32_t>::max();
  DLCUDA_CHECK(params.height >= 0 && params.height <= kMost && params.width >= 0 && params.width <= kMost,
               ShapeError, "augment: the result's height and width must be 0 to 2^31 - 1, got {}x{}",
               params.height, params.width);
  DLCUDA_CHECK(params.dtype == DType::F32 || params.dtype == DType::F16 || params.dtype == DType::BF16,
               DTypeError, "augment: the result's dtype must be f32, f16 or bf16, got {}",
               to_string(params.dtype));
  const Tensor y =
      Tensor::empty({count, channels, params.height, params.width}, params.dtype, x.device(), params.format);
  if (y.numel() > 0) {
    DLCUDA_DISPATCH_LOOPS(x.device(), augment, x.raw(), placements.raw(), levels.raw(), y.raw());
  }
  return y;
}

}  // namespace dlcuda::kernels

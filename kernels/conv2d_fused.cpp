#include "dlcuda/kernels/conv2d_fused.h"

#include "dlcuda/kernels/conv2d_checks.h"
#include "dlcuda/kernels/copy.h"
#include "dlcuda/kernels/cpu/packed_layouts.h"
#include "dlcuda/kernels/dispatch.h"

namespace dlcuda::kernels {

PackedWeight::PackedWeight() : layouts_(std::make_unique<Layouts>()) {}
PackedWeight::~PackedWeight() = default;

Tensor conv2d_fused(const Tensor& x, const Tensor& weight, const Tensor& bias, const Tensor& residual,
                    const Conv2dParams& params, const ActivationParams& activation, PackedWeight* packed) {
  const char* op = "conv2d_fused";
  const Shape shape = check_conv2d(op, x, weight, bias, params);
  const DType exact = x.dtype() == DType::F64 ? DType::F64 : DType::F32;
  if (bias.defined() && bias.dtype() != exact) require_dtype(op, "bias", bias, x.dtype());
  Tensor y = Tensor::empty(shape, x.dtype(), x.device(), x.format());
  if (residual.defined()) require_like(op, "residual", residual, "y", y);
  if (y.numel() == 0) return y;
  // CUDA's kernels read either.
  const bool cast_bias = bias.defined() && bias.dtype() != exact && x.device().is_cpu();
  const Tensor bias32 = cast_bias ? cast(bias, exact) : bias;
  if (packed) packed->layouts().bind(weight);
  DLCUDA_DISPATCH(x.device(), conv2d_fused, x.raw(), weight.raw(), optional_view(bias32),
                  optional_view(residual), y.raw(), params, activation, packed);
  return y;
}

}  // namespace dlcuda::kernels

#include "dlcuda/kernels/axis_layout.h"
#include "dlcuda/kernels/cpu/depthwise_conv2d.h"
#include "dlcuda/kernels/dispatch.h"

namespace dlcuda::kernels::cpu {

bool depthwise_applies(const TensorView& x, const TensorView& weight, const TensorView& y,
                       const Conv2dParams& params) {
  const std::int64_t channels = x.shape[1];
  return x.dtype == DType::BF16 && params.groups == channels && weight.shape[0] == channels &&
         channels % kDepthwiseRun == 0 && weight.shape[2] * weight.shape[3] <= kMostDepthwiseTaps &&
         x.numel() > 0 && y.numel() > 0 && lies_channels_last(x) && lies_channels_last(y);
}

std::size_t depthwise_scratch(const TensorView& weight, std::int64_t parts) {
  return std::size_t(parts * weight.numel() + weight.shape[0]) * sizeof(float);
}

DepthwiseLoops depthwise_loops() {
  return cpu_has_amx() ? amx::depthwise_loops() : DLCUDA_BEST_LOOP(depthwise_loops)();
}

}  // namespace dlcuda::kernels::cpu

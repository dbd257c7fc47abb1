#include <algorithm>

#include "dlcuda/core/isa.h"
#include "dlcuda/core/parallel.h"
#include "dlcuda/kernels/axis_layout.h"
#include "dlcuda/kernels/cpu/pointwise_conv2d.h"
#include "dlcuda/kernels/cpu/pointwise_tiles.h"

namespace dlcuda::kernels::cpu {
namespace {

/// With fewer pixels, packing the weight takes longer than what is gained.
constexpr std::int64_t kLeastPixels = 256;
/// Weights beyond that leave the second cache.
constexpr std::int64_t kMostWeights = 1 << 20, kMostLeft = 512;

std::int64_t pixels_of(const TensorView& x) { return x.shape[0] * x.shape[2] * x.shape[3]; }

}  // namespace

bool pointwise_applies(PointwisePass pass, const TensorView& x, const TensorView& weight, const TensorView& y,
                       const Conv2dParams& params) {
  const std::int64_t inputs = x.shape[1], outputs = y.shape[1];
  if (x.dtype != DType::BF16 || !cpu_has_amx() || !is_pointwise(weight, params) ||
      pixels_of(x) < kLeastPixels || inputs * outputs > kMostWeights || !lies_channels_last(x) ||
      !lies_channels_last(y)) {
    return false;
  }
  switch (pass) {
    case PointwisePass::Forward:
      return DepthSteps(inputs).count > 0;
    case PointwisePass::Data:
      return DepthSteps(outputs).count > 0;
    case PointwisePass::Weight:
      return std::min(inputs, outputs) <= kMostLeft;
  }
  return false;
}

std::size_t pointwise_scratch(PointwisePass pass, const TensorView& x, const TensorView& weight) {
  const std::int64_t outputs = weight.shape[0], inputs = weight.shape[1];
  if (pass == PointwisePass::Weight) {
    const WeightCut cut(pixels_of(x), inputs, outputs);
    return std::size_t(cut.tasks() * cut.task_sums()) * sizeof(float) +
           std::size_t(num_threads() * cut.packed()) * sizeof(BFloat16);
  }
  const bool forward = pass == PointwisePass::Forward;
  const std::int64_t depth = forward ? inputs : outputs, columns = forward ? outputs : inputs;
  const std::int64_t padded = ceil_div(columns, kBlockSide) * kBlockSide;
  return std::size_t(padded / kTileSide * DepthSteps(depth).count * kTileElements) * sizeof(BFloat16) +
         std::size_t(padded) * sizeof(float);
}

}  // namespace dlcuda::kernels::cpu

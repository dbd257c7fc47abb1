#include <algorithm>

#include "dlcuda/kernels/axis_layout.h"
#include "dlcuda/kernels/cpu/conv2d_planes.h"

namespace dlcuda::kernels::cpu {
namespace {

/// Most channels on either side: from 16 on, oneDNN fills its registers.
constexpr std::int64_t kMostChannels = 16;
/// Most elements of a padded plane: beyond, planes leave the innermost caches.
constexpr std::int64_t kLargestPlane = 64 * 64;
constexpr std::int64_t kMostLanes = 16;

}  // namespace

bool planes_apply(const TensorView& x, const TensorView& weight, const TensorView& y,
                  const Conv2dParams& params) {
  return x.dtype == DType::F32 && planes_suit(x, weight, y, params);
}

bool planes_suit(const TensorView& x, const TensorView& weight, const TensorView& y,
                 const Conv2dParams& params) {
  if (x.dtype == DType::F64 || params.groups != 1 || !lies_contiguous(x) || !lies_contiguous(y) ||
      !lies_contiguous(weight)) {
    return false;
  }
  const auto& [stride, padding, dilation, groups] = params;
  const bool plain = stride[0] == 1 && stride[1] == 1 && dilation[0] == 1 && dilation[1] == 1;
  const std::int64_t channels[] = {x.shape[1], weight.shape[0]};
  const bool few = *std::min_element(channels, channels + 2) < kMostChannels &&
                   *std::max_element(channels, channels + 2) <= kMostChannels;
  return plain && few &&
         (x.shape[2] + padding[0] + padding[2]) * (x.shape[3] + padding[1] + padding[3]) <= kLargestPlane;
}

std::int64_t planes_scratch(const TensorView& x, const TensorView& weight, const Conv2dParams& params,
                            int threads) {
  const std::int64_t height = x.shape[2] + params.padding[0] + params.padding[2];
  const std::int64_t width = x.shape[3] + params.padding[1] + params.padding[3];
  const std::int64_t weights = weight.numel(), kernel_width = weight.shape[3];
  // Of one image: planes of both sides and one a kernel column, each with room for two blocks beyond its end.
  const std::int64_t image =
      (x.shape[1] + weight.shape[0] + kernel_width) * (height * width + kernel_width + 2 * kPlanesBlock);
  const std::int64_t sums = weights * kMostLanes + weight.shape[0] + kPlanesBlock;
  // The gradients of one call may all be in work at once: images of both sides, and the columns of one.
  const std::int64_t columns = kernel_width * (height * width + kernel_width + 2 * kPlanesBlock);
  return weights + kPlanesBlock + threads * (sums + kPlanesImages * image + columns + kPlanesBlock);
}

}  // namespace dlcuda::kernels::cpu

// Non-maximum suppression: of boxes that overlap, the one with the highest score stays.
#pragma once

#include <cstdint>

#include "dlcuda/kernels/backend.h"

namespace dlcuda {
namespace kernels DLCUDA_API {

struct NmsParams {
  double overlap = 0.5;     ///< a box goes when its IoU with a better one of its class is above this
  double score = 0.0;       ///< boxes with a lower score, or NaN, are left out beforehand
  std::int64_t most = 300;  ///< boxes kept of a picture; the best ones
};

struct NmsOutput {
  Tensor indices;  ///< (N, most) i64: rows of `boxes` by falling score, of equal scores the first; then -1
  Tensor count;    ///< (N) i32: how many were kept
};

/// boxes (N, K, 4) as corners; scores (N, K) of the same dtype; classes (N, K) i64, or undefined when every
/// box competes with every other. Everything stays on the device and nothing waits for it. Time and memory
/// grow with K * K (K * K / 8 bytes a picture on CUDA). No gradient.
NmsOutput nms(const Tensor& boxes, const Tensor& scores, const Tensor& classes, const NmsParams& params = {});

DLCUDA_BACKENDS(void nms(const TensorView& boxes, const TensorView& scores, const TensorView& classes,
                         const TensorView& indices, const TensorView& count, const NmsParams& params);)

}  // namespace kernels
}  // namespace dlcuda

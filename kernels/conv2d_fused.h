// A convolution with all that usually follows it, for inference, and for training where nothing but the
// output is needed on the way back:
//
//   y = activation(conv2d(x, weight) + bias + residual)
//
// CPU: one primitive of oneDNN for f32 and bf16; with the weight kept in its own layout also for ReLUs, which
// turn NaN into 0 there, and have a pass of their own otherwise. CUDA: one of cuDNN's graphs, where it has an
// engine for it. Elsewhere: the convolution, and the rest in one more pass.
#pragma once

#include <memory>

#include "dlcuda/kernels/activation.h"
#include "dlcuda/kernels/conv2d.h"

namespace dlcuda {
namespace kernels DLCUDA_API {

/// Copies of a convolution's weight in the layouts that the CPU's primitives ask for. They are made at first
/// use, and again after the weight has changed or is another one. Several threads may use one at once.
class PackedWeight {
 public:
  PackedWeight();
  ~PackedWeight();
  PackedWeight(const PackedWeight&) = delete;
  PackedWeight& operator=(const PackedWeight&) = delete;

  class Layouts;
  Layouts& layouts() const { return *layouts_; }

 private:
  std::unique_ptr<Layouts> layouts_;
};

/// x (N, C, H, W) -> (N, O, OH, OW), in x's format. bias (O): undefined, in f32 (f64 with f64) or x's dtype.
/// residual: undefined, or like y. Any activation. packed: what belongs to this weight and outlives
/// recordings of the call; without one, the weight is packed each time. Throws as conv2d_forward() does. No
/// gradient.
Tensor conv2d_fused(const Tensor& x, const Tensor& weight, const Tensor& bias, const Tensor& residual,
                    const Conv2dParams& params, const ActivationParams& activation,
                    PackedWeight* packed = nullptr);

// bias: f32 (f64 with f64); on CUDA also x's dtype.
DLCUDA_BACKENDS(void conv2d_fused(const TensorView& x, const TensorView& weight, const TensorView& bias,
                                  const TensorView& residual, const TensorView& y, const Conv2dParams& params,
                                  const ActivationParams& activation, PackedWeight* packed);)

}  // namespace kernels
}  // namespace dlcuda

// Convolution with few channels, plane by plane.
//
// oneDNN's kernels put 16 channels side by side into a vector register; with the 1, 3 or 6 channels of a
// first layer most of it stays empty. Here positions lie side by side instead: an output plane is computed at
// all positions of the (padded) input plane, row ends included, so that a kernel tap is one shifted load
// whatever the width, and the columns between rows are dropped at the end. Contiguous f32, stride 1, no
// dilation, no groups.
#pragma once

#include "dlcuda/kernels/activation.h"
#include "dlcuda/kernels/conv2d.h"

namespace dlcuda::kernels::cpu {

/// Positions are computed in blocks; scratch planes have room for a whole block beyond their end.
inline constexpr std::int64_t kPlanesBlock = 48;
/// Images whose planes are in work at once when weight gradients are summed: the sums stay in registers
/// meanwhile.
inline constexpr std::int64_t kPlanesImages = 4;

/// f32 elements of scratch memory that a call for x (also as dx) and weight (also as dw) needs.
std::int64_t planes_scratch(const TensorView& x, const TensorView& weight, const Conv2dParams& params,
                            int threads);

/// True where the conditions hold and this way is the faster one, in f32 or with 16-bit tensors that become
/// f32 first.
bool planes_suit(const TensorView& x, const TensorView& weight, const TensorView& y,
                 const Conv2dParams& params);
/// The same in f32.
bool planes_apply(const TensorView& x, const TensorView& weight, const TensorView& y,
                  const Conv2dParams& params);

/// What a convolution with an activation and 2 x 2 average pooling behind it leaves for its backward pass,
/// and where the gradients go: dx may be a null view.
struct PlanesPoolBackward {
  TensorView dpooled, y, x, weight, dx, dw, db;
};

// pooled: the means of y's 2 x 2 windows, or a null view.
DLCUDA_CPU_LOOPS(void planes_forward(const TensorView& x, const TensorView& weight, const TensorView& bias,
                                     const TensorView& y, const TensorView& pooled,
                                     const Conv2dParams& params, const ActivationParams& activation,
                                     float* scratch, int threads);
                 void planes_backward_data(const TensorView& dy, const TensorView& weight,
                                           const TensorView& dx, const Conv2dParams& params, float* scratch,
                                           int threads);
                 void planes_backward_weight(const TensorView& x, const TensorView& dy, const TensorView& dw,
                                             const TensorView& db, const Conv2dParams& params, float* scratch,
                                             int threads);
                 void planes_pool_backward(const PlanesPoolBackward& views, const Conv2dParams& params,
                                           const ActivationParams& activation, float* scratch, int threads);)

}  // namespace dlcuda::kernels::cpu

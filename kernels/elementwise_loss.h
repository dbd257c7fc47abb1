// Losses whose terms are of one prediction and one target each. Stable at any prediction.
//
//   Squared             (x - t)^2
//   Absolute            |x - t|
//   SmoothL1            d^2 / (2 beta) where d = |x - t| < beta, else d - beta / 2 (Girshick, 2015)
//   BinaryCrossEntropy  -(w t log s + (1 - t) log(1 - s)), s = sigmoid(x), w the positive weight
//   Focal               the same without w, times (1 - p)^gamma and alpha or 1 - alpha, p = s t + (1 - s)(1 -
//   t)
//                       (Lin et al., 2017)
#pragma once

#include <cstdint>

#include "dlcuda/kernels/backend.h"
#include "dlcuda/kernels/loss_reduction.h"

namespace dlcuda {
namespace kernels DLCUDA_API {

enum class ElementLoss : std::uint8_t { Squared, Absolute, SmoothL1, BinaryCrossEntropy, Focal };

struct ElementLossParams {
  ElementLoss kind = ElementLoss::Squared;
  LossReduction reduction = LossReduction::Mean;
  double beta = 1;      ///< of SmoothL1; 0 is Absolute
  double gamma = 2;     ///< of Focal; not negative
  double alpha = 0.25;  ///< of Focal: weight of positive targets; negative: none is weighted
};

/// x and target are alike; floating-point, dense. positive_weight: undefined, or as many numbers as the last
/// axis has, of x's dtype (BinaryCrossEntropy). The terms themselves (like x), or their mean or sum: a scalar
/// in f32 (f64 with f64), added up in the same pass and a fixed order.
Tensor element_loss_forward(const Tensor& x, const Tensor& target, const Tensor& positive_weight,
                            const ElementLossParams& params);
/// Gradient with respect to x; dy is like the result of the forward pass. Targets have none.
Tensor element_loss_backward(const Tensor& dy, const Tensor& x, const Tensor& target,
                             const Tensor& positive_weight, const ElementLossParams& params);

// sum: the terms' sum goes into y (one element), divided by `divisor`; else y is like x. Backward: dy has one
// element, and is divided as well, or is like x. Weights repeat every weight.numel() elements of the logical
// order; x is contiguous then.
DLCUDA_LOOP_BACKENDS(void element_loss_forward(const TensorView& x, const TensorView& target,
                                               const TensorView& weight, const TensorView& y, bool sum,
                                               double divisor, const ElementLossParams& params);
                     void element_loss_backward(const TensorView& dy, const TensorView& x,
                                                const TensorView& target, const TensorView& weight,
                                                const TensorView& dx, bool sum, double divisor,
                                                const ElementLossParams& params);)

}  // namespace kernels
}  // namespace dlcuda

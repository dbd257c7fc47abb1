// Losses. See layers/functional.h. Gradients are those of the predictions; targets and labels take none,
// unless an entry says otherwise.
#pragma once

#include "dlcuda/kernels/cross_entropy.h"
#include "dlcuda/kernels/elementwise_loss.h"

namespace dlcuda {
namespace functional DLCUDA_API {

using kernels::CrossEntropyParams;
using kernels::LossReduction;

/// -log softmax(logits)[label], averaged over the rows; logits (N, C, ...), labels (N, ...) i64. The formula
/// with class weights (C), label smoothing and rows to ignore: kernels/cross_entropy.h.
Tensor cross_entropy(const Tensor& logits, const Tensor& labels, const Tensor& class_weight = {},
                     const CrossEntropyParams& params = {});
/// Mean over rows of -sum target * log softmax(logits); both (N, C). `target` takes a gradient, too.
Tensor soft_cross_entropy(const Tensor& logits, const Tensor& target);

/// (x - target)^2
Tensor squared_loss(const Tensor& x, const Tensor& target, LossReduction reduction = LossReduction::Mean);
/// |x - target|
Tensor absolute_loss(const Tensor& x, const Tensor& target, LossReduction reduction = LossReduction::Mean);
Tensor smooth_l1_loss(const Tensor& x, const Tensor& target, double beta = 1,
                      LossReduction reduction = LossReduction::Mean);
/// From logits; positive_weight: undefined, or a number for each element of the last axis.
Tensor binary_cross_entropy(const Tensor& logits, const Tensor& target, const Tensor& positive_weight = {},
                            LossReduction reduction = LossReduction::Mean);
/// From logits (Lin et al., 2017).
Tensor focal_loss(const Tensor& logits, const Tensor& target, double alpha = 0.25, double gamma = 2,
                  LossReduction reduction = LossReduction::Mean);

/// 1 - (2 sum p t + smooth) / (sum p + sum t + smooth) of each sample (N, ...), averaged; p are probabilities
/// (Milletari et al., 2016, without their squares). `target` takes a gradient, too.
Tensor dice_loss(const Tensor& probabilities, const Tensor& target, double smooth = 1);

// Rows (N, D); all inputs take gradients. Made of plain parts.

/// a . b / (max(|a|, epsilon) max(|b|, epsilon)), row by row: (N).
Tensor cosine_similarity(const Tensor& a, const Tensor& b, double epsilon = 1e-8);
/// |a - b|^2, row by row: (N).
Tensor squared_distance(const Tensor& a, const Tensor& b);
/// Mean of max(d(a, p) - d(a, n) + margin, 0), with d = |a - b + epsilon| (PyTorch), or d = |a - b|^2
/// (FaceNet: Schroff et al., 2015).
Tensor triplet_loss(const Tensor& anchor, const Tensor& positive, const Tensor& negative, double margin = 1,
                    bool squared = false);
/// Mean of same * d^2 + (1 - same) * max(margin - d, 0)^2, d = |a - b| (Hadsell et al., 2006). same: (N), 1
/// or 0, of a's dtype.
Tensor contrastive_loss(const Tensor& a, const Tensor& b, const Tensor& same, double margin = 1);
/// Mean of same * (1 - cos) + (1 - same) * max(cos - margin, 0).
Tensor cosine_loss(const Tensor& a, const Tensor& b, const Tensor& same, double margin = 0);

}  // namespace functional
}  // namespace dlcuda

// Softmax with cross-entropy, fused. Stable at any logits.
//
//   term(row) = (1 - s) w[label] (lse - x[label]) + s / C * sum over c of w[c] (lse - x[c])
//
// with lse = log sum exp x, s the label smoothing (Szegedy et al., 2016) and w the weights of the classes
// (1 where there are none). The mean divides the sum of the terms by the sum of w[label]; ignored rows count
// in neither.
#pragma once

#include <optional>

#include "dlcuda/kernels/backend.h"
#include "dlcuda/kernels/loss_reduction.h"

namespace dlcuda {
namespace kernels DLCUDA_API {

struct CrossEntropyParams {
  LossReduction reduction = LossReduction::Mean;
  double label_smoothing = 0;                     ///< 0 to 1
  std::optional<std::int64_t> ignore_index = {};  ///< a label that is no class: its rows count for nothing
};

struct CrossEntropyOutput {
  Tensor loss;  ///< scalar, or the terms in the shape of the labels; f32 (f64 for f64 logits)
  // Saved for the backward pass instead of the probabilities.
  Tensor log_sum_exp;  ///< in the shape of the labels
  Tensor totals;       ///< (2): what the sum was divided by, the sum of the class weights
};

/// logits (N, C, ...), floating-point, dense, C >= 1 and at least one row; labels (N, ...), i64, contiguous,
/// 0 <= label < C. class_weight: undefined, or (C) in the loss's dtype.
///
/// A label out of range throws ArgumentError on the CPU. On CUDA, where reading labels would make every step
/// wait, its row's loss becomes NaN, updates (kernels/update.h) change nothing from then on, and the next
/// read from the device throws the same error.
CrossEntropyOutput cross_entropy_forward(const Tensor& logits, const Tensor& labels,
                                         const Tensor& class_weight = {},
                                         const CrossEntropyParams& params = {});

/// Like the logits. dloss is like the loss.
Tensor cross_entropy_backward(const Tensor& dloss, const Tensor& logits, const Tensor& labels,
                              const Tensor& class_weight, const Tensor& log_sum_exp, const Tensor& totals,
                              const CrossEntropyParams& params);

/// Throws the same ArgumentError for the first label out of range. Labels on the CPU: for whoever makes
/// batches.
void check_labels(const Tensor& labels, std::int64_t classes,
                  const std::optional<std::int64_t>& ignore_index = {});

/// metrics[0] += loss * N, metrics[1] += rows whose largest logit (the first of equals) is at the label,
/// metrics[2] += N. logits (N, C); metrics: f64, three elements; running figures that live on the device.
void classification_metrics(const Tensor& logits, const Tensor& labels, const Tensor& loss, Tensor& metrics);

/// Logits seen as (outer, classes, inner), contiguous; row r is at outer r / inner, inner r % inner.
struct CrossEntropyViews {
  TensorView logits, labels, class_weight, log_sum_exp, totals;

  template <typename Visit>
  void for_each_view(const Visit& visit) const {
    for (const TensorView* view : {&logits, &labels, &class_weight, &log_sum_exp, &totals}) visit(*view);
  }
};

// terms: of each row; the result where nothing is added up (loss is not written then), else room that the CPU
// needs.
DLCUDA_LOOP_BACKENDS(void cross_entropy_forward(const CrossEntropyViews& views, const TensorView& loss,
                                                const TensorView& terms, const CrossEntropyParams& params);
                     void cross_entropy_backward(const TensorView& dloss, const CrossEntropyViews& views,
                                                 const TensorView& dlogits, const CrossEntropyParams& params);
                     void classification_metrics(const TensorView& logits, const TensorView& labels,
                                                 const TensorView& loss, const TensorView& metrics);)

}  // namespace kernels
}  // namespace dlcuda

// Softmax with cross-entropy, fused: the mean over rows of -log softmax(logits)[label]. Stable at any logits.
#pragma once

#include "dlcuda/kernels/backend.h"

namespace dlcuda {
namespace kernels DLCUDA_API {

struct CrossEntropyOutput {
  Tensor loss;         ///< scalar, f32 (f64 for f64 logits)
  Tensor log_sum_exp;  ///< (N), the dtype of loss; saved for the backward pass instead of the probabilities
};

/// logits (N, C), N and C >= 1, floating-point; labels (N), i64, 0 <= label < C. On the CPU a label out of
/// range throws ArgumentError; on CUDA, where reading labels would synchronise, the loss becomes NaN.
CrossEntropyOutput cross_entropy_forward(const Tensor& logits, const Tensor& labels);

/// dlogits = dloss / N * (softmax(logits) - one_hot(labels)); dloss is a scalar on the same device.
Tensor cross_entropy_backward(const Tensor& dloss, const Tensor& logits, const Tensor& labels,
                              const Tensor& log_sum_exp);

/// metrics[0] += loss * N, metrics[1] += rows whose largest logit (the first of equals) is at the label,
/// metrics[2] += N. metrics: f64, three elements; running figures that live on the device.
void classification_metrics(const Tensor& logits, const Tensor& labels, const Tensor& loss, Tensor& metrics);

DLCUDA_LOOP_BACKENDS(void cross_entropy_forward(const TensorView& logits, const TensorView& labels,
                                                const TensorView& loss, const TensorView& log_sum_exp,
                                                const TensorView& row_loss);
                     void cross_entropy_backward(const TensorView& dloss, const TensorView& logits,
                                                 const TensorView& labels, const TensorView& log_sum_exp,
                                                 const TensorView& dlogits);
                     void classification_metrics(const TensorView& logits, const TensorView& labels,
                                                 const TensorView& loss, const TensorView& metrics);)

}  // namespace kernels
}  // namespace dlcuda

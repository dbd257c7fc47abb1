// Running figures of classifiers that label many rows at once, such as pixels.
#pragma once

#include "dlcuda/kernels/backend.h"

namespace dlcuda {
namespace kernels DLCUDA_API {

/// counts[label, prediction] += 1 for each row; metrics[0] += loss * N, metrics[1] += N. predictions and
/// labels: i64 (N, ...), contiguous, of one shape; rows whose label or prediction is outside [0, C) count for
/// nothing. loss: f32 or f64 scalar (f32 on CUDA); counts: i64 (C, C); metrics: f64, two elements. Everything
/// stays on the device and nothing waits for it.
void confusion_metrics(const Tensor& predictions, const Tensor& labels, const Tensor& loss, Tensor& counts,
                       Tensor& metrics);

DLCUDA_LOOP_BACKENDS(void confusion_metrics(const TensorView& predictions, const TensorView& labels,
                                            const TensorView& loss, const TensorView& counts,
                                            const TensorView& metrics);)

}  // namespace kernels
}  // namespace dlcuda

// Losses. See layers/functional.h.
#pragma once

#include "dlcuda/core/tensor.h"

namespace dlcuda {
namespace functional DLCUDA_API {

/// Mean over rows of -log softmax(logits)[label]; logits (N, C), labels (N) i64.
Tensor cross_entropy(const Tensor& logits, const Tensor& labels);

}  // namespace functional
}  // namespace dlcuda

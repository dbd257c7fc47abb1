// Softmax with cross-entropy, for one row and for one logit. T: float or double.
#pragma once

#include "dlcuda/kernels/functors/math.h"

namespace dlcuda::functors {

template <typename T>
struct CrossEntropy {
  /// log sum exp of a row, from its largest logit and the sum of exp(logit - largest).
  DLCUDA_HD static T log_sum_exp(T largest, T sum) { return largest + functors::log(sum); }
  /// -log softmax(logits)[label]
  DLCUDA_HD static T loss(T log_sum_exp, T label_logit) { return log_sum_exp - label_logit; }
  /// d loss / d logit, times `scale`
  DLCUDA_HD static T gradient(T logit, T log_sum_exp, bool at_label, T scale) {
    return (functors::exp(logit - log_sum_exp) - (at_label ? T(1) : T(0))) * scale;
  }
};

}  // namespace dlcuda::functors

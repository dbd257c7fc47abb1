// Softmax with cross-entropy, for one row and for one logit. T: float or double.
#pragma once

#include "dlcuda/kernels/functors/math.h"

namespace dlcuda::functors {

template <typename T>
struct CrossEntropy {
  T at_label;  ///< share of the label: 1 - smoothing
  T of_all;    ///< share of every class: smoothing / classes

  CrossEntropy(double smoothing, double classes)
      : at_label(T(1 - smoothing)), of_all(T(smoothing / classes)) {}

  /// log sum exp of a row, from its largest logit and the sum of exp(logit - largest).
  DLCUDA_HD static T log_sum_exp(T largest, T sum) { return largest + functors::log(sum); }
  /// weight: of the label; spread: the sum over all classes of their weights times log_sum_exp - logit.
  DLCUDA_HD T loss(T log_sum_exp, T label_logit, T weight, T spread) const {
    return at_label * weight * (log_sum_exp - label_logit) + of_all * spread;
  }
  /// d loss / d logit. weight: of the label; class_weight: of this logit's class; weights: of all together.
  DLCUDA_HD T gradient(T logit, T log_sum_exp, bool is_label, T weight, T class_weight, T weights) const {
    const T p = functors::exp(logit - log_sum_exp);
    return at_label * weight * (p - (is_label ? T(1) : T(0))) + of_all * (p * weights - class_weight);
  }
};

}  // namespace dlcuda::functors

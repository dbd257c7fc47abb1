// One element of a softmax (kLog: of its logarithm). T: float or double.
#pragma once

#include "dlcuda/kernels/functors/math.h"

namespace dlcuda::functors {

template <typename T, bool kLog>
struct Softmax {
  /// What every element of a row is divided by, or lowered by, from the sum of exp(x - largest).
  DLCUDA_HD static T normaliser(T sum) { return kLog ? functors::log(sum) : T(1) / sum; }
  DLCUDA_HD static T forward(T x, T largest, T normaliser) {
    return kLog ? (x - largest) - normaliser : functors::exp(x - largest) * normaliser;
  }
  /// The term of the sum that the backward pass takes over a row.
  DLCUDA_HD static T term(T dy, T y) { return kLog ? dy : dy * y; }
  DLCUDA_HD static T backward(T dy, T y, T sum) {
    return kLog ? dy - functors::exp(y) * sum : y * (dy - sum);
  }
};

}  // namespace dlcuda::functors

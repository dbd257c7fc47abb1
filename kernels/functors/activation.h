// f(x), and dx from dy and y, for one element. T is the type of arithmetic: float or double.
#pragma once

#include "dlcuda/kernels/functors/math.h"

namespace dlcuda::functors {

template <typename T>
struct Sigmoid {
  DLCUDA_HD T forward(T x) const { return sigmoid(x); }
  DLCUDA_HD T backward(T dy, T y) const { return dy * y * (T(1) - y); }
};

template <typename T>
struct Tanh {
  DLCUDA_HD T forward(T x) const { return functors::tanh(x); }
  DLCUDA_HD T backward(T dy, T y) const { return dy * (T(1) - y * y); }
};

template <typename T>
struct Relu {
  // Written so that NaN stays NaN.
  DLCUDA_HD T forward(T x) const { return x < T(0) ? T(0) : x; }
  DLCUDA_HD T backward(T dy, T y) const { return y > T(0) ? dy : T(0); }
};

template <typename T>
struct LeakyRelu {
  T slope;
  DLCUDA_HD T forward(T x) const { return x > T(0) ? x : x * slope; }
  DLCUDA_HD T backward(T dy, T y) const { return y > T(0) ? dy : dy * slope; }
};

}  // namespace dlcuda::functors

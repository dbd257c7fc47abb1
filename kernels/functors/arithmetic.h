// Arithmetic of one or two elements. T: float or double.
#pragma once

#include "dlcuda/kernels/arithmetic.h"
#include "dlcuda/kernels/functors/math.h"

namespace dlcuda::functors {

struct Add {
  template <typename T>
  DLCUDA_HD T operator()(T a, T b) const {
    return a + b;
  }
};
struct Subtract {
  template <typename T>
  DLCUDA_HD T operator()(T a, T b) const {
    return a - b;
  }
};
struct Multiply {
  template <typename T>
  DLCUDA_HD T operator()(T a, T b) const {
    return a * b;
  }
};
struct Divide {
  template <typename T>
  DLCUDA_HD T operator()(T a, T b) const {
    return a / b;
  }
};
struct DivideOrZero {
  template <typename T>
  DLCUDA_HD T operator()(T a, T b) const {
    return b == T(0) ? T(0) : a / b;
  }
};
// NaN wins on either side.
struct Maximum {
  template <typename T>
  DLCUDA_HD T operator()(T a, T b) const {
    return a != a || a > b ? a : b;
  }
};
struct Minimum {
  template <typename T>
  DLCUDA_HD T operator()(T a, T b) const {
    return a != a || a < b ? a : b;
  }
};
struct Equal {
  template <typename T>
  DLCUDA_HD T operator()(T a, T b) const {
    return a == b ? T(1) : T(0);
  }
};
struct ShareOfLarger {
  template <typename T>
  DLCUDA_HD T operator()(T a, T b) const {
    return a > b ? T(1) : (a == b ? T(0.5) : T(0));
  }
};

template <typename Body>
DLCUDA_INLINE void visit_binary(kernels::BinaryOp op, const Body& body) {
  using kernels::BinaryOp;
  switch (op) {
    case BinaryOp::Add:
      return body(Add{});
    case BinaryOp::Subtract:
      return body(Subtract{});
    case BinaryOp::Multiply:
      return body(Multiply{});
    case BinaryOp::Divide:
      return body(Divide{});
    case BinaryOp::DivideOrZero:
      return body(DivideOrZero{});
    case BinaryOp::Maximum:
      return body(Maximum{});
    case BinaryOp::Minimum:
      return body(Minimum{});
    case BinaryOp::Equal:
      return body(Equal{});
    case BinaryOp::ShareOfLarger:
      return body(ShareOfLarger{});
  }
}

// f(x), and its gradient from x.

template <typename T>
struct Affine {
  T factor, offset;
  DLCUDA_HD T forward(T x) const { return x * factor + offset; }
  DLCUDA_HD T backward(T dy, T) const { return dy * factor; }
};
template <typename T>
struct Exp {
  DLCUDA_HD T forward(T x) const { return functors::exp(x); }
  DLCUDA_HD T backward(T dy, T x) const { return dy * functors::exp(x); }
};
template <typename T>
struct Log {
  DLCUDA_HD T forward(T x) const { return functors::log(x); }
  DLCUDA_HD T backward(T dy, T x) const { return dy / x; }
};
template <typename T>
struct Sqrt {
  DLCUDA_HD T forward(T x) const { return functors::sqrt(x); }
  DLCUDA_HD T backward(T dy, T x) const { return dy / (T(2) * functors::sqrt(x)); }
};
template <typename T>
struct Rsqrt {
  DLCUDA_HD T forward(T x) const { return T(1) / functors::sqrt(x); }
  DLCUDA_HD T backward(T dy, T x) const { return T(-0.5) * dy / (x * functors::sqrt(x)); }
};
template <typename T>
struct Abs {
  DLCUDA_HD T forward(T x) const { return x < T(0) ? -x : (x == T(0) ? T(0) : x); }
  DLCUDA_HD T backward(T dy, T x) const { return x > T(0) ? dy : (x < T(0) ? -dy : T(0)); }
};
template <typename T>
struct Square {
  DLCUDA_HD T forward(T x) const { return x * x; }
  DLCUDA_HD T backward(T dy, T x) const { return T(2) * dy * x; }
};
template <typename T>
struct Power {
  T exponent;
  DLCUDA_HD T forward(T x) const { return functors::pow(x, exponent); }
  DLCUDA_HD T backward(T dy, T x) const {
    return exponent == T(0) ? T(0) : dy * exponent * functors::pow(x, exponent - T(1));
  }
};
template <typename T>
struct Clamp {
  T low, high;
  DLCUDA_HD T forward(T x) const { return x < low ? low : (x > high ? high : x); }
  DLCUDA_HD T backward(T dy, T x) const { return x <= low || x >= high ? T(0) : dy; }
};

template <typename T, typename Body>
DLCUDA_INLINE void visit_unary(const kernels::UnaryParams& params, const Body& body) {
  using kernels::UnaryOp;
  const T first = static_cast<T>(params.first), second = static_cast<T>(params.second);
  switch (params.op) {
    case UnaryOp::Affine:
      return body(Affine<T>{first, second});
    case UnaryOp::Exp:
      return body(Exp<T>{});
    case UnaryOp::Log:
      return body(Log<T>{});
    case UnaryOp::Sqrt:
      return body(Sqrt<T>{});
    case UnaryOp::Rsqrt:
      return body(Rsqrt<T>{});
    case UnaryOp::Abs:
      return body(Abs<T>{});
    case UnaryOp::Square:
      return body(Square<T>{});
    case UnaryOp::Power:
      return body(Power<T>{first});
    case UnaryOp::Clamp:
      return body(Clamp<T>{first, second});
  }
}

}  // namespace dlcuda::functors

// f(x), and dx from dy and what the forward pass saved, for one element. T is the type of arithmetic: float
// or double. kFromInput tells what backward() takes: the input x, or the output y.
#pragma once

#include "dlcuda/kernels/activation.h"
#include "dlcuda/kernels/functors/math.h"

namespace dlcuda::functors {

template <typename T>
struct Identity {
  static constexpr bool kFromInput = false;
  DLCUDA_HD T forward(T x) const { return x; }
  DLCUDA_HD T backward(T dy, T) const { return dy; }
};

template <typename T>
struct Sigmoid {
  static constexpr bool kFromInput = false;
  DLCUDA_HD T forward(T x) const { return sigmoid(x); }
  DLCUDA_HD T backward(T dy, T y) const { return dy * y * (T(1) - y); }
};

template <typename T>
struct Tanh {
  static constexpr bool kFromInput = false;
  DLCUDA_HD T forward(T x) const { return functors::tanh(x); }
  DLCUDA_HD T backward(T dy, T y) const { return dy * (T(1) - y * y); }
};

template <typename T>
struct Relu {
  static constexpr bool kFromInput = false;
  // Written so that NaN stays NaN, and passes its gradient on.
  DLCUDA_HD T forward(T x) const { return x < T(0) ? T(0) : x; }
  DLCUDA_HD T backward(T dy, T y) const { return y <= T(0) ? T(0) : dy; }
};

template <typename T>
struct Relu6 {
  static constexpr bool kFromInput = false;
  // One bound after the other, which processors have an instruction for.
  DLCUDA_HD T forward(T x) const {
    x = T(0) > x ? T(0) : x;
    return T(6) < x ? T(6) : x;
  }
  DLCUDA_HD T backward(T dy, T y) const { return y <= T(0) || y >= T(6) ? T(0) : dy; }
};

template <typename T>
struct LeakyRelu {
  static constexpr bool kFromInput = false;
  T slope;
  DLCUDA_HD T forward(T x) const { return x > T(0) ? x : x * slope; }
  DLCUDA_HD T backward(T dy, T y) const { return y > T(0) ? dy : dy * slope; }
};

template <typename T>
struct Elu {
  static constexpr bool kFromInput = false;
  T alpha;
  DLCUDA_HD T forward(T x) const { return x > T(0) ? x : alpha * functors::expm1(x); }
  DLCUDA_HD T backward(T dy, T y) const { return y <= T(0) ? dy * (y + alpha) : dy; }
};

template <typename T>
struct Silu {
  static constexpr bool kFromInput = true;
  DLCUDA_HD T forward(T x) const { return x * sigmoid(x); }
  DLCUDA_HD T backward(T dy, T x) const {
    const T s = sigmoid(x);
    return dy * s * (T(1) + x * (T(1) - s));
  }
};

template <typename T>
struct Gelu {
  static constexpr bool kFromInput = true;
  // The normal distribution's cumulative and density functions; erfc keeps the digits of the left tail.
  DLCUDA_HD static T cumulative(T x) { return T(0.5) * functors::erfc(x * T(-0.70710678118654752)); }
  DLCUDA_HD T forward(T x) const { return x * cumulative(x); }
  DLCUDA_HD T backward(T dy, T x) const {
    const T density = T(0.39894228040143268) * functors::exp(T(-0.5) * x * x);
    return dy * (cumulative(x) + x * density);
  }
};

/// The tanh approximation.
template <typename T>
struct GeluTanh {
  static constexpr bool kFromInput = true;
  static constexpr T kRoot = T(0.79788456080286536), kCubic = T(0.044715);
  DLCUDA_HD static T inner(T x) { return functors::tanh(kRoot * (x + kCubic * x * x * x)); }
  DLCUDA_HD T forward(T x) const { return T(0.5) * x * (T(1) + inner(x)); }
  DLCUDA_HD T backward(T dy, T x) const {
    const T t = inner(x), slope = kRoot * (T(1) + T(3) * kCubic * x * x);
    // Where tanh is at its end the product is 0, even when the slope has overflowed.
    const T bend = T(1) - t * t;
    return dy * (T(0.5) * (T(1) + t) + (bend > T(0) ? T(0.5) * x * bend * slope : T(0)));
  }
};

template <typename T>
struct HardSigmoid {
  static constexpr bool kFromInput = false;
  DLCUDA_HD T forward(T x) const { return x <= T(-3) ? T(0) : (x >= T(3) ? T(1) : (x + T(3)) / T(6)); }
  DLCUDA_HD T backward(T dy, T y) const { return y > T(0) && y < T(1) ? dy / T(6) : T(0); }
};

template <typename T>
struct HardSwish {
  static constexpr bool kFromInput = true;
  DLCUDA_HD T forward(T x) const { return x <= T(-3) ? T(0) : (x >= T(3) ? x : x * (x + T(3)) / T(6)); }
  DLCUDA_HD T backward(T dy, T x) const {
    return x <= T(-3) ? T(0) : (x < T(3) ? dy * (x / T(3) + T(0.5)) : dy);
  }
};

template <typename T>
struct Softplus {
  static constexpr bool kFromInput = true;
  T beta, threshold;
  DLCUDA_HD T forward(T x) const {
    const T z = beta * x;
    return z > threshold ? x : functors::log1p(functors::exp(z)) / beta;
  }
  DLCUDA_HD T backward(T dy, T x) const {
    const T z = beta * x;
    return z > threshold ? dy : dy * sigmoid(z);
  }
};

/// body(functor) for the chosen activation, with arithmetic in T.
template <typename T, typename Body>
DLCUDA_INLINE void visit_activation(const kernels::ActivationParams& params, const Body& body) {
  using kernels::Activation;
  switch (params.kind) {
    case Activation::Identity:
      return body(Identity<T>{});
    case Activation::Sigmoid:
      return body(Sigmoid<T>{});
    case Activation::Tanh:
      return body(Tanh<T>{});
    case Activation::Relu:
      return body(Relu<T>{});
    case Activation::Relu6:
      return body(Relu6<T>{});
    case Activation::LeakyRelu:
      return body(LeakyRelu<T>{static_cast<T>(params.slope)});
    case Activation::Elu:
      return body(Elu<T>{static_cast<T>(params.alpha)});
    case Activation::Silu:
      return body(Silu<T>{});
    case Activation::Gelu:
      return body(Gelu<T>{});
    case Activation::GeluTanh:
      return body(GeluTanh<T>{});
    case Activation::HardSigmoid:
      return body(HardSigmoid<T>{});
    case Activation::HardSwish:
      return body(HardSwish<T>{});
    case Activation::Softplus:
      return body(Softplus<T>{static_cast<T>(params.beta), static_cast<T>(params.threshold)});
  }
}

/// The same for those whose backward pass needs the output only: what normalisation fuses. The public
/// functions have refused the others.
template <typename T, typename Body>
DLCUDA_INLINE void visit_output_activation(const kernels::ActivationParams& params, const Body& body) {
  visit_activation<T>(params, [&](auto functor) {
    if constexpr (!decltype(functor)::kFromInput) body(functor);
  });
}

/// Any activation whose backward pass needs the output only, chosen anew for each element.
template <typename T>
struct ChosenActivation {
  static constexpr bool kFromInput = false;
  kernels::ActivationParams params;

  DLCUDA_HD T forward(T x) const {
    apply([&](auto f) { x = f.forward(x); });
    return x;
  }
  DLCUDA_HD T backward(T dy, T y) const {
    apply([&](auto f) { dy = f.backward(dy, y); });
    return dy;
  }

 private:
  // Not visit_activation(): device code has to see that no other functor can come.
  template <typename Body>
  DLCUDA_HD void apply(const Body& body) const {
    using kernels::Activation;
    switch (params.kind) {
      case Activation::Sigmoid:
        return body(Sigmoid<T>{});
      case Activation::Tanh:
        return body(Tanh<T>{});
      case Activation::Relu:
        return body(Relu<T>{});
      case Activation::Relu6:
        return body(Relu6<T>{});
      case Activation::LeakyRelu:
        return body(LeakyRelu<T>{static_cast<T>(params.slope)});
      case Activation::Elu:
        return body(Elu<T>{static_cast<T>(params.alpha)});
      case Activation::HardSigmoid:
        return body(HardSigmoid<T>{});
      default:
        return;
    }
  }
};

/// As visit_output_activation(), for passes over memory: code of its own have only the activations that
/// models put behind norms and convolutions, in f32. In the library a loop is half a megabyte, and a kernel
/// is compiled for each type, layout and width of an index.
template <typename T, typename Body>
DLCUDA_INLINE void visit_fused_activation(const kernels::ActivationParams& params, const Body& body) {
  using kernels::Activation;
  if constexpr (sizeof(T) == sizeof(float)) {
    switch (params.kind) {
      case Activation::Identity:
        return body(Identity<T>{});
      case Activation::Relu:
        return body(Relu<T>{});
      case Activation::Relu6:
        return body(Relu6<T>{});
      case Activation::LeakyRelu:
        return body(LeakyRelu<T>{static_cast<T>(params.slope)});
      default:
        break;
    }
  }
  body(ChosenActivation<T>{params});
}

}  // namespace dlcuda::functors

// Arithmetic of elements, with the broadcasting of numpy and PyTorch; and what the library adds up by itself.
#pragma once

#include <cstdint>

#include "dlcuda/kernels/backend.h"

namespace dlcuda {
namespace kernels DLCUDA_API {

enum class BinaryOp : std::uint8_t {
  Add,
  Subtract,
  Multiply,
  Divide,
  DivideOrZero,  ///< a / b, and 0 where b is 0
  Maximum,       ///< NaN wins
  Minimum,
  Equal,         ///< 1 or 0
  ShareOfLarger  ///< 1 where a > b, 1/2 where they are equal, else 0: what a takes of the gradient of Maximum
};
/// Shapes are aligned at their last axes; an extent of 1 is repeated. Floating-point, one dtype, dense or
/// channel slices. The result has the format of the first input that has its shape.
Tensor binary(const Tensor& a, const Tensor& b, BinaryOp op);
/// The shape that two shapes broadcast to. Throws ShapeError.
Shape broadcast_shape(const char* op, const Shape& a, const Shape& b);

enum class UnaryOp : std::uint8_t { Affine, Exp, Log, Sqrt, Rsqrt, Abs, Square, Power, Clamp };
struct UnaryParams {
  UnaryOp op = UnaryOp::Affine;
  double first = 1;   ///< Affine: the factor; Power: the exponent; Clamp: the lower bound
  double second = 0;  ///< Affine: what is added; Clamp: the upper bound
};
/// f(x), in x's format. Floating-point, dense.
Tensor unary(const Tensor& x, const UnaryParams& params);
/// dy * f'(x). Conventions as in PyTorch: |x|' is 0 at 0; Clamp's is 0 at its bounds.
Tensor unary_backward(const Tensor& dy, const Tensor& x, const UnaryParams& params);

inline Tensor add(const Tensor& a, const Tensor& b) { return binary(a, b, BinaryOp::Add); }
inline Tensor subtract(const Tensor& a, const Tensor& b) { return binary(a, b, BinaryOp::Subtract); }
inline Tensor multiply(const Tensor& a, const Tensor& b) { return binary(a, b, BinaryOp::Multiply); }
inline Tensor divide(const Tensor& a, const Tensor& b) { return binary(a, b, BinaryOp::Divide); }
/// x * factor
inline Tensor scale(const Tensor& x, double factor) { return unary(x, {UnaryOp::Affine, factor, 0}); }

/// into += x; the same shape, dtype and format.
void accumulate(Tensor& into, const Tensor& x);
/// Sets every element; any dtype (rounded toward zero for integers).
void fill(Tensor& x, double value);
/// into + x, computed in place when nobody else holds `into`; what autograd sums gradients with.
Tensor sum_gradients(Tensor into, const Tensor& x);
/// counter += by, for a one-element i64 tensor: step counts that live on the device.
void advance_counter(Tensor& counter, std::int64_t by = 1);

// binary: a and b have out's shape, with stride 0 where they repeat; out is dense and may be one of them.
DLCUDA_LOOP_BACKENDS(void binary(const TensorView& a, const TensorView& b, const TensorView& out,
                                 BinaryOp op);
                     void unary(const TensorView& x, const TensorView& y, const UnaryParams& params);
                     void unary_backward(const TensorView& dy, const TensorView& x, const TensorView& dx,
                                         const UnaryParams& params);
                     void fill(const TensorView& x, double value);
                     void advance_counter(const TensorView& counter, std::int64_t by);)

}  // namespace kernels
}  // namespace dlcuda

#include "dlcuda/kernels/arithmetic.h"

#include <algorithm>
#include <vector>

#include "dlcuda/kernels/checks.h"
#include "dlcuda/kernels/dispatch.h"

namespace dlcuda::kernels {

namespace {

const char* name_of(BinaryOp op) {
  constexpr const char* kNames[] = {"add",     "subtract", "multiply", "divide",         "divide_or_zero",
                                    "maximum", "minimum",  "equal",    "share_of_larger"};
  return kNames[static_cast<int>(op)];
}

const char* name_of(UnaryOp op) {
  constexpr const char* kNames[] = {"affine", "exp",    "log",   "sqrt", "rsqrt",
                                    "abs",    "square", "power", "clamp"};
  return kNames[static_cast<int>(op)];
}

/// x repeated to `shape`, which it broadcasts to.
TensorView repeated(const Tensor& x, const Shape& shape) {
  const TensorView from = x.raw();
  TensorView view = from;
  view.rank = shape.rank();
  const int missing = shape.rank() - x.rank();
  for (int axis = 0; axis < shape.rank(); ++axis) {
    const bool repeats = axis < missing || x.size(axis - missing) == 1;
    view.shape[axis] = shape[axis];
    view.strides[axis] = repeats ? 0 : from.strides[axis - missing];
  }
  return view;
}

}  // namespace

Shape broadcast_shape(const char* op, const Shape& a, const Shape& b) {
  std::vector<std::int64_t> extents;
  for (int back = std::max(a.rank(), b.rank()); back >= 1; --back) {
    const std::int64_t of_a = back <= a.rank() ? a[-back] : 1, of_b = back <= b.rank() ? b[-back] : 1;
    DLCUDA_CHECK(
        of_a == of_b || of_a == 1 || of_b == 1, ShapeError,
        "{}: a {} and b {} do not broadcast: {} and {} differ, counted {} from the end, and neither is 1", op,
        to_string(a), to_string(b), of_a, of_b, back);
    extents.push_back(of_a == 1 ? of_b : of_a);
  }
  return Shape(std::span<const std::int64_t>(extents));
}

Tensor binary(const Tensor& a, const Tensor& b, BinaryOp op) {
  const char* name = name_of(op);
  require_floating(name, "a", a);
  require_dtype(name, "b", b, a.dtype());
  require_device(name, "b", b, a.device());
  const Shape shape = broadcast_shape(name, a.shape(), b.shape());
  const MemoryFormat format = a.shape() == shape   ? a.format()
                              : b.shape() == shape ? b.format()
                                                   : MemoryFormat::Contiguous;
  Tensor out = Tensor::empty(shape, a.dtype(), a.device(), format);
  DLCUDA_DISPATCH_LOOPS(a.device(), binary, repeated(a, shape), repeated(b, shape), out.raw(), op);
  return out;
}

Tensor unary(const Tensor& x, const UnaryParams& params) {
  const char* name = name_of(params.op);
  require_floating(name, "x", x);
  require_dense(name, "x", x);
  DLCUDA_CHECK(params.op != UnaryOp::Clamp || params.first <= params.second, ArgumentError,
               "clamp: the lower bound {} is above the upper bound {}", params.first, params.second);
  Tensor y = Tensor::empty_like(x);
  DLCUDA_DISPATCH_LOOPS(x.device(), unary, x.raw(), y.raw(), params);
  return y;
}

Tensor unary_backward(const Tensor& dy, const Tensor& x, const UnaryParams& params) {
  const std::string name = std::string(name_of(params.op)) + "_backward";
  require_floating(name.c_str(), "dy", dy);
  require_dense(name.c_str(), "dy", dy);
  require_like(name.c_str(), "x", x, "dy", dy);
  Tensor dx = Tensor::empty_like(dy);
  DLCUDA_DISPATCH_LOOPS(dy.device(), unary_backward, dy.raw(), x.raw(), dx.raw(), params);
  return dx;
}

void accumulate(Tensor& into, const Tensor& x) {
  require_floating("accumulate", "into", into);
  require_dense("accumulate", "into", into);
  require_like("accumulate", "x", x, "into", into);
  DLCUDA_DISPATCH_LOOPS(into.device(), binary, into.raw(), x.raw(), into.raw(), BinaryOp::Add);
  into.bump_version();
}

void fill(Tensor& x, double value) {
  require_dense("fill", "x", x);
  DLCUDA_DISPATCH_LOOPS(x.device(), fill, x.raw(), value);
  x.bump_version();
}

Tensor sum_gradients(Tensor into, const Tensor& x) {
  if (!into.unique()) return add(into, x);
  accumulate(into, x);
  return into;
}

void advance_counter(Tensor& counter, std::int64_t by) {
  require_dtype("advance_counter", "counter", counter, DType::I64);
  DLCUDA_CHECK(counter.numel() == 1, ShapeError, "advance_counter: expected one element, got shape {}",
               to_string(counter.shape()));
  DLCUDA_DISPATCH_LOOPS(counter.device(), advance_counter, counter.raw(), by);
  counter.bump_version();
}

}  // namespace dlcuda::kernels

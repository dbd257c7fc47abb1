#include "dlcuda/kernels/reduce.h"

#include <vector>

#include "dlcuda/kernels/checks.h"
#include "dlcuda/kernels/dispatch.h"

namespace dlcuda::kernels {
namespace {

/// x as (outer, n, inner) around the reduced axis, and what remains of its shape.
struct Split {
  Shape folded;
  Shape remaining;
};

Split split(const char* op, const Shape& shape, std::optional<int> axis) {
  if (!axis) return {Shape{1, shape.numel(), 1}, Shape{}};
  const int at = *axis < 0 ? *axis + shape.rank() : *axis;
  DLCUDA_CHECK(at >= 0 && at < shape.rank(), ShapeError, "{}: axis {} is out of range for shape {}", op,
               *axis, to_string(shape));
  std::int64_t outer = 1, inner = 1;
  std::vector<std::int64_t> remaining;
  for (int i = 0; i < shape.rank(); ++i) {
    if (i < at) outer *= shape[i];
    if (i > at) inner *= shape[i];
    if (i != at) remaining.push_back(shape[i]);
  }
  return {Shape{outer, shape[at], inner}, Shape(std::span<const std::int64_t>(remaining))};
}

Shape without_axis(const Shape& folded) { return Shape{folded[0], folded[2]}; }

}  // namespace

Tensor reduce(const Tensor& x, Reduction reduction, std::optional<int> axis) {
  require_floating("reduce", "x", x);
  require_contiguous("reduce", "x", x);
  const auto [folded, remaining] = split("reduce", x.shape(), axis);
  DLCUDA_CHECK(reduction != Reduction::Max || folded[1] > 0 || remaining.numel() == 0, ShapeError,
               "reduce: the maximum of no elements, shape {}", to_string(x.shape()));
  Tensor y = Tensor::empty(remaining, x.dtype(), x.device());
  DLCUDA_DISPATCH_LOOPS(x.device(),
                        reduce(x.detach().view(folded).raw(), y.view(without_axis(folded)).raw(), reduction));
  return y;
}

Tensor reduce_backward(const Tensor& dy, const Shape& x_shape, Reduction reduction, std::optional<int> axis) {
  require_floating("reduce_backward", "dy", dy);
  require_contiguous("reduce_backward", "dy", dy);
  DLCUDA_CHECK(reduction != Reduction::Max, ArgumentError,
               "reduce_backward: only Sum and Mean have a gradient here");
  const auto [folded, remaining] = split("reduce_backward", x_shape, axis);
  require_shape("reduce_backward", "dy", dy, remaining);
  Tensor dx = Tensor::empty(x_shape, dy.dtype(), dy.device());
  DLCUDA_DISPATCH_LOOPS(dy.device(), reduce_backward(dy.detach().view(without_axis(folded)).raw(),
                                                     dx.view(folded).raw(), reduction));
  return dx;
}

Tensor argmax(const Tensor& x, int axis) {
  require_floating("argmax", "x", x);
  require_contiguous("argmax", "x", x);
  const auto [folded, remaining] = split("argmax", x.shape(), axis);
  DLCUDA_CHECK(folded[1] > 0 || remaining.numel() == 0, ShapeError, "argmax: axis {} of shape {} is empty",
               axis, to_string(x.shape()));
  Tensor y = Tensor::empty(remaining, DType::I64, x.device());
  DLCUDA_DISPATCH_LOOPS(x.device(),
                        argmax(x.detach().view(folded).raw(), y.view(without_axis(folded)).raw()));
  return y;
}

}  // namespace dlcuda::kernels

#include "dlcuda/kernels/arithmetic.h"

#include "dlcuda/kernels/checks.h"
#include "dlcuda/kernels/dispatch.h"

namespace dlcuda::kernels {

Tensor add(const Tensor& a, const Tensor& b) {
  require_floating("add", "a", a);
  require_dense("add", "a", a);
  require_like("add", "b", b, "a", a);
  Tensor out = Tensor::empty_like(a);
  DLCUDA_DISPATCH_LOOPS(a.device(), add(a.raw(), b.raw(), out.raw()));
  return out;
}

Tensor multiply(const Tensor& a, const Tensor& b) {
  require_floating("multiply", "a", a);
  require_dense("multiply", "a", a);
  require_like("multiply", "b", b, "a", a);
  Tensor out = Tensor::empty_like(a);
  DLCUDA_DISPATCH_LOOPS(a.device(), multiply(a.raw(), b.raw(), out.raw()));
  return out;
}

Tensor scale(const Tensor& x, double factor) {
  require_floating("scale", "x", x);
  require_dense("scale", "x", x);
  Tensor out = Tensor::empty_like(x);
  DLCUDA_DISPATCH_LOOPS(x.device(), scale(x.raw(), factor, out.raw()));
  return out;
}

void accumulate(Tensor& into, const Tensor& x) {
  require_floating("accumulate", "into", into);
  require_dense("accumulate", "into", into);
  require_like("accumulate", "x", x, "into", into);
  DLCUDA_DISPATCH_LOOPS(into.device(), add(into.raw(), x.raw(), into.raw()));
  into.bump_version();
}

void fill(Tensor& x, double value) {
  require_dense("fill", "x", x);
  DLCUDA_DISPATCH_LOOPS(x.device(), fill(x.raw(), value));
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
  DLCUDA_DISPATCH_LOOPS(counter.device(), advance_counter(counter.raw(), by));
  counter.bump_version();
}

}  // namespace dlcuda::kernels

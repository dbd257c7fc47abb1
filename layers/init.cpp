#include "dlcuda/layers/init.h"

#include <cmath>

#include "dlcuda/core/check.h"
#include "dlcuda/kernels/random.h"

namespace dlcuda::init {
namespace {

/// sqrt(numerator / count), and 0 for a weight without elements.
double root(double numerator, std::int64_t count) {
  return count > 0 ? std::sqrt(numerator / static_cast<double>(count)) : 0.0;
}

thread_local bool draws = true;

Tensor uniform(const Shape& shape, double bound) {
  Tensor x = Tensor::empty(shape);
  const kernels::RandomCall call = kernels::weight_generator().next_call();
  if (draws) kernels::fill_uniform(x, -bound, bound, call);
  return x;
}

Tensor normal(const Shape& shape, double deviation) {
  Tensor x = Tensor::empty(shape);
  const kernels::RandomCall call = kernels::weight_generator().next_call();
  if (draws) kernels::fill_normal(x, 0, deviation, call);
  return x;
}

}  // namespace

Uninitialized::Uninitialized() noexcept : outer_(draws) { draws = false; }
Uninitialized::~Uninitialized() { draws = outer_; }

Fans fans(const Shape& weight) {
  DLCUDA_CHECK(weight.rank() >= 2, ShapeError,
               "init: fans are defined for weights (out, in, ...) of two axes or more, got shape {}",
               to_string(weight));
  const std::int64_t window = Shape(weight.extents().subspan(2)).numel();
  return {weight[1] * window, weight[0] * window};
}

Tensor weight(const Shape& shape, Scheme scheme) {
  const auto [in, out] = fans(shape);
  switch (scheme) {
    case Scheme::Default:
      return uniform(shape, root(1, in));
    case Scheme::HeNormal:
      return normal(shape, root(2, in));
    case Scheme::HeNormalFanOut:
      return normal(shape, root(2, out));
    case Scheme::HeUniform:
      return uniform(shape, root(6, in));
    case Scheme::XavierNormal:
      return normal(shape, root(2, in + out));
    case Scheme::XavierUniform:
      return uniform(shape, root(6, in + out));
    case Scheme::LeCunNormal:
      return normal(shape, root(1, in));
    case Scheme::LeCunUniform:
      return uniform(shape, root(3, in));
    case Scheme::SmallNormal:
      return normal(shape, 0.01);
    case Scheme::UniformFanOut:
      return uniform(shape, root(1, out));
  }
  DLCUDA_THROW(ArgumentError, "init: unknown scheme {}", static_cast<int>(scheme));
}

Tensor bias(std::int64_t size, std::int64_t fan_in, Scheme scheme) {
  if (scheme != Scheme::Default) return Tensor::zeros({size});
  return uniform({size}, root(1, fan_in));
}

}  // namespace dlcuda::init

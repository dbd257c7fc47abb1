#include "dlcuda/kernels/arithmetic.h"

#include "dlcuda/kernels/cpu/loops.h"

namespace dlcuda::kernels::cpu::DLCUDA_ISA {
namespace {

/// out may be a or b.
template <typename Op>
DLCUDA_INLINE void map(const TensorView& a, const TensorView& b, const TensorView& out, const Op& op) {
  visit_floating(a.dtype, [&]<typename T>() {
    using C = compute_t<T>;
    const T* left = a.as<const T>();
    const T* right = b.as<const T>();
    T* to = out.as<T>();
    parallel_for(a.numel(), kGrain, [=](std::int64_t begin, std::int64_t end) {
#pragma GCC ivdep
      for (std::int64_t i = begin; i < end; ++i) {
        to[i] = static_cast<T>(op(static_cast<C>(left[i]), static_cast<C>(right[i])));
      }
    });
  });
}

}  // namespace

void add(const TensorView& a, const TensorView& b, const TensorView& out) {
  map(a, b, out, [](auto x, auto y) { return x + y; });
}

void multiply(const TensorView& a, const TensorView& b, const TensorView& out) {
  map(a, b, out, [](auto x, auto y) { return x * y; });
}

void scale(const TensorView& x, double factor, const TensorView& out) {
  map(x, x, out, [factor](auto value, auto) { return value * static_cast<decltype(value)>(factor); });
}

void fill(const TensorView& x, double value) {
  visit_any(x.dtype, [&]<typename T>() {
    const T constant = static_cast<T>(static_cast<compute_t<T>>(value));
    T* to = x.as<T>();
    parallel_for(x.numel(), kGrain, [=](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) to[i] = constant;
    });
  });
}

void advance_counter(const TensorView& counter, std::int64_t by) { *counter.as<std::int64_t>() += by; }

}  // namespace dlcuda::kernels::cpu::DLCUDA_ISA

#include "dlcuda/kernels/softmax.h"

#include "dlcuda/kernels/cpu/loops.h"
#include "dlcuda/kernels/functors/softmax.h"

namespace dlcuda::kernels::cpu::DLCUDA_ISA {
namespace {

/// body.template operator()<T, kLog>()
template <typename Body>
DLCUDA_INLINE void visit(DType dtype, bool log, const Body& body) {
  visit_floating(dtype, [&]<typename T>() {
    if (log) {
      body.template operator()<T, true>();
    } else {
      body.template operator()<T, false>();
    }
  });
}

}  // namespace

void softmax_forward(const TensorView& x, const TensorView& y, bool log) {
  visit(x.dtype, log, [&]<typename T, bool kLog>() {
    using C = compute_t<T>;
    using Term = functors::Softmax<C, kLog>;
    const std::int64_t n = x.shape[1], inner = x.shape[2];
    const T* from = x.as<const T>();
    T* to = y.as<T>();
    parallel_for(x.shape[0] * inner, kGrain / (8 * (n + 1)) + 1, [=](std::int64_t begin, std::int64_t end) {
      for (std::int64_t row = begin; row < end; ++row) {
        const std::int64_t first = row / inner * n * inner + row % inner;
        const T* in = from + first;
        T* out = to + first;
        C largest = n > 0 ? static_cast<C>(in[0]) : C(0);
        for (std::int64_t i = 1; i < n; ++i) {
          const C value = static_cast<C>(in[i * inner]);
          largest = value > largest ? value : largest;
        }
        C sum = 0;
        for (std::int64_t i = 0; i < n; ++i) sum += functors::exp(static_cast<C>(in[i * inner]) - largest);
        const C normaliser = Term::normaliser(sum);
        for (std::int64_t i = 0; i < n; ++i) {
          out[i * inner] = static_cast<T>(Term::forward(static_cast<C>(in[i * inner]), largest, normaliser));
        }
      }
    });
  });
}

void softmax_backward(const TensorView& dy, const TensorView& y, const TensorView& dx, bool log) {
  visit(dy.dtype, log, [&]<typename T, bool kLog>() {
    using C = compute_t<T>;
    using Term = functors::Softmax<C, kLog>;
    const std::int64_t n = dy.shape[1], inner = dy.shape[2];
    const T* grad = dy.as<const T>();
    const T* out = y.as<const T>();
    T* to = dx.as<T>();
    parallel_for(dy.shape[0] * inner, kGrain / (8 * (n + 1)) + 1, [=](std::int64_t begin, std::int64_t end) {
      for (std::int64_t row = begin; row < end; ++row) {
        const std::int64_t first = row / inner * n * inner + row % inner, last = first + n * inner;
        C sum = 0;
        for (std::int64_t i = first; i < last; i += inner) {
          sum += Term::term(static_cast<C>(grad[i]), static_cast<C>(out[i]));
        }
        for (std::int64_t i = first; i < last; i += inner) {
          to[i] = static_cast<T>(Term::backward(static_cast<C>(grad[i]), static_cast<C>(out[i]), sum));
        }
      }
    });
  });
}

}  // namespace dlcuda::kernels::cpu::DLCUDA_ISA

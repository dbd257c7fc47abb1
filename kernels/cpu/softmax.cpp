#include "dlcuda/kernels/softmax.h"

#include "dlcuda/kernels/cpu/loops.h"
#include "dlcuda/kernels/functors/math.h"

namespace dlcuda::kernels::cpu::DLCUDA_ISA {

void softmax_forward(const TensorView& x, const TensorView& y) {
  visit_floating(x.dtype, [&]<typename T>() {
    using C = compute_t<T>;
    const std::int64_t rows = x.shape[0], length = x.shape[1];
    const T* from = x.as<const T>();
    T* to = y.as<T>();
    parallel_for(rows, kGrain / (8 * length) + 1, [=](std::int64_t begin, std::int64_t end) {
      for (std::int64_t n = begin; n < end; ++n) {
        const T* in = from + n * length;
        T* out = to + n * length;
        C largest = static_cast<C>(in[0]);
        for (std::int64_t i = 1; i < length; ++i) {
          const C value = static_cast<C>(in[i]);
          largest = value > largest ? value : largest;
        }
        C sum = 0;
        for (std::int64_t i = 0; i < length; ++i) sum += functors::exp(static_cast<C>(in[i]) - largest);
        const C factor = C(1) / sum;
        for (std::int64_t i = 0; i < length; ++i) {
          out[i] = static_cast<T>(functors::exp(static_cast<C>(in[i]) - largest) * factor);
        }
      }
    });
  });
}

void softmax_backward(const TensorView& dy, const TensorView& y, const TensorView& dx) {
  visit_floating(dy.dtype, [&]<typename T>() {
    using C = compute_t<T>;
    const std::int64_t rows = dy.shape[0], length = dy.shape[1];
    const T* grad = dy.as<const T>();
    const T* out = y.as<const T>();
    T* to = dx.as<T>();
    parallel_for(rows, kGrain / (8 * length) + 1, [=](std::int64_t begin, std::int64_t end) {
      for (std::int64_t at = begin * length; at < end * length; at += length) {
        C dot = 0;
        for (std::int64_t i = 0; i < length; ++i)
          dot += static_cast<C>(grad[at + i]) * static_cast<C>(out[at + i]);
        for (std::int64_t i = 0; i < length; ++i) {
          to[at + i] = static_cast<T>(static_cast<C>(out[at + i]) * (static_cast<C>(grad[at + i]) - dot));
        }
      }
    });
  });
}

}  // namespace dlcuda::kernels::cpu::DLCUDA_ISA

#include "dlcuda/kernels/indexing.h"

#include "dlcuda/kernels/cpu/loops.h"
#include "dlcuda/kernels/functors/convert.h"

namespace dlcuda::kernels::cpu::DLCUDA_ISA {

void gather(const TensorView& x, const TensorView& index, const TensorView& y, bool shared) {
  visit_any(x.dtype, [&]<typename T>() {
    const T* from = x.as<const T>();
    T* to = y.as<T>();
    const std::int64_t* chosen = index.as<const std::int64_t>();
    const std::int64_t n = x.shape[1], m = y.shape[1], inner = y.shape[2];
    parallel_for(y.shape[0] * m, kGrain / (inner + 1) + 1, [=](std::int64_t begin, std::int64_t end) {
      for (std::int64_t row = begin; row < end; ++row) {
        for (std::int64_t k = 0; k < inner; ++k) {
          const std::int64_t at = shared ? chosen[row % m] : chosen[row * inner + k];
          to[row * inner + k] = from[(row / m * n + at) * inner + k];
        }
      }
    });
  });
}

void gather_backward(const TensorView& dy, const TensorView& index, const TensorView& dx, bool shared,
                     std::int64_t skip) {
  visit_floating(dy.dtype, [&]<typename T>() {
    using C = compute_t<T>;
    const T* grad = dy.as<const T>();
    T* to = dx.as<T>();
    const std::int64_t* chosen = index.as<const std::int64_t>();
    const std::int64_t n = dx.shape[1], m = dy.shape[1], inner = dy.shape[2];
    const auto index_of = [=](std::int64_t row, std::int64_t k) {
      return shared ? chosen[row % m] : chosen[row * inner + k];
    };
    // A thread takes columns (outer, inner), so that no other adds to what it adds to. Sums of 16-bit numbers
    // are kept in f32 until they are complete: the first time an index occurs, all later ones are looked for.
    parallel_for(dy.shape[0] * inner, kGrain / (m + 1) + 1, [=](std::int64_t begin, std::int64_t end) {
      for (std::int64_t column = begin; column < end; ++column) {
        const std::int64_t outer = column / inner, k = column % inner;
        for (std::int64_t j = 0; j < m; ++j) {
          const std::int64_t row = outer * m + j, at = index_of(row, k);
          if (at == skip) continue;
          if constexpr (sizeof(T) >= sizeof(C)) {
            to[(outer * n + at) * inner + k] += grad[row * inner + k];
          } else {
            bool first = true;
            for (std::int64_t before = 0; before < j && first; ++before) {
              first = index_of(outer * m + before, k) != at;
            }
            if (!first) continue;
            C sum = 0;
            for (std::int64_t later = j; later < m; ++later) {
              const std::int64_t other = outer * m + later;
              if (index_of(other, k) == at) sum += static_cast<C>(grad[other * inner + k]);
            }
            to[(outer * n + at) * inner + k] = static_cast<T>(sum);
          }
        }
      }
    });
  });
}

void one_hot(const TensorView& labels, const TensorView& y) {
  const std::int64_t classes = y.shape[y.rank - 1];
  visit_any(y.dtype, [&]<typename T>() {
    const std::int64_t* label = labels.as<const std::int64_t>();
    T* to = y.as<T>();
    parallel_for(y.numel(), kGrain, [=](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) {
        to[i] = functors::convert<T>(label[i / classes] == i % classes ? 1.0f : 0.0f);
      }
    });
  });
}

}  // namespace dlcuda::kernels::cpu::DLCUDA_ISA

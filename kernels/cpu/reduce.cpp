#include "dlcuda/kernels/reduce.h"

#include <limits>

#include "dlcuda/kernels/cpu/loops.h"

namespace dlcuda::kernels::cpu::DLCUDA_ISA {
namespace {

template <typename C>
struct Sum {
  static constexpr C identity() { return C(0); }
  DLCUDA_INLINE C operator()(C a, C b) const { return a + b; }
};

template <typename C>
struct Max {
  static constexpr C identity() { return -std::numeric_limits<C>::infinity(); }
  DLCUDA_INLINE C operator()(C a, C b) const { return b > a || b != b ? b : a; }  // NaN wins
};

template <typename C>
struct Min {
  static constexpr C identity() { return std::numeric_limits<C>::infinity(); }
  DLCUDA_INLINE C operator()(C a, C b) const { return b < a || b != b ? b : a; }
};

constexpr std::int64_t kLanes = 16, kChunk = 4096;

/// Sixteen interleaved partial results, combined in order: vector code with one fixed order.
template <typename C, typename T, typename Op>
DLCUDA_INLINE C reduce_chunk(const T* x, std::int64_t count, const Op& op) {
  C lane[kLanes];
  for (auto& value : lane) value = Op::identity();
  std::int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    for (std::int64_t k = 0; k < kLanes; ++k) lane[k] = op(lane[k], static_cast<C>(x[i + k]));
  }
  for (std::int64_t k = 0; i < count; ++i, ++k) lane[k] = op(lane[k], static_cast<C>(x[i]));
  C result = lane[0];
  for (std::int64_t k = 1; k < kLanes; ++k) result = op(result, lane[k]);
  return result;
}

/// Chunk by chunk, so that the order does not depend on the number of threads.
template <typename C, typename T, typename Op>
DLCUDA_INLINE C reduce_row(const T* x, std::int64_t count, const Op& op) {
  C result = Op::identity();
  for (std::int64_t at = 0; at < count; at += kChunk) {
    result = op(result, reduce_chunk<C>(x + at, count - at < kChunk ? count - at : kChunk, op));
  }
  return result;
}

template <typename T, typename Op>
DLCUDA_INLINE void reduce_with(const TensorView& x, const TensorView& y, const Op& op, compute_t<T> factor) {
  using C = compute_t<T>;
  const std::int64_t outer = x.shape[0], n = x.shape[1], inner = x.shape[2];
  const T* from = x.as<const T>();
  T* to = y.as<T>();
  parallel_for(outer * inner, kGrain / (n + 1) + 1, [=](std::int64_t begin, std::int64_t end) {
    for (std::int64_t at = begin; at < end; ++at) {
      C result;
      if (inner == 1) {
        result = reduce_row<C>(from + at * n, n, op);
      } else {
        const T* column = from + (at / inner) * n * inner + at % inner;
        // In chunks, like a row: a long sum keeps its digits.
        result = Op::identity();
        for (std::int64_t first = 0; first < n; first += kChunk) {
          C part = Op::identity();
          const std::int64_t last = n - first < kChunk ? n : first + kChunk;
          for (std::int64_t i = first; i < last; ++i) part = op(part, static_cast<C>(column[i * inner]));
          result = op(result, part);
        }
      }
      to[at] = static_cast<T>(result * factor);
    }
  });
}

}  // namespace

void reduce(const TensorView& x, const TensorView& y, Reduction reduction) {
  visit_floating(x.dtype, [&]<typename T>() {
    using C = compute_t<T>;
    switch (reduction) {
      case Reduction::Sum:
        reduce_with<T>(x, y, Sum<C>{}, C(1));
        break;
      case Reduction::Mean:
        reduce_with<T>(x, y, Sum<C>{}, C(1) / static_cast<C>(x.shape[1]));
        break;
      case Reduction::Max:
        reduce_with<T>(x, y, Max<C>{}, C(1));
        break;
      case Reduction::Min:
        reduce_with<T>(x, y, Min<C>{}, C(1));
        break;
    }
  });
}

void argmax(const TensorView& x, const TensorView& y, bool smallest) {
  visit_floating(x.dtype, [&]<typename T>() {
    using C = compute_t<T>;
    const std::int64_t n = x.shape[1], inner = x.shape[2];
    const T* from = x.as<const T>();
    std::int64_t* to = y.as<std::int64_t>();
    parallel_for(x.shape[0] * inner, kGrain / (n + 1) + 1, [=](std::int64_t begin, std::int64_t end) {
      for (std::int64_t at = begin; at < end; ++at) {
        const T* column = from + (at / inner) * n * inner + at % inner;
        std::int64_t best = 0;
        C largest = static_cast<C>(column[0]);
        for (std::int64_t i = 1; i < n && largest == largest; ++i) {
          const C value = static_cast<C>(column[i * inner]);
          if ((smallest ? value < largest : value > largest) || value != value) {
            largest = value;
            best = i;
          }
        }
        to[at] = best;
      }
    });
  });
}

}  // namespace dlcuda::kernels::cpu::DLCUDA_ISA

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

/// Columns that lie side by side and are worked on together: a few cache lines.
constexpr std::int64_t kColumns = 64;

/// call(first element, width) for all columns of (outer, n, inner) in groups of up to kColumns.
template <typename Call>
DLCUDA_INLINE void for_columns(std::int64_t outer, std::int64_t n, std::int64_t inner, const Call& call) {
  const std::int64_t groups = (inner + kColumns - 1) / kColumns;
  parallel_for(outer * groups, kGrain / (n * kColumns + 1) + 1, [=](std::int64_t begin, std::int64_t end) {
    for (std::int64_t at = begin; at < end; ++at) {
      const std::int64_t column = at % groups * kColumns;
      call(at / groups, column, inner - column < kColumns ? inner - column : kColumns);
    }
  });
}

template <typename T, typename Op>
DLCUDA_INLINE void reduce_with(const TensorView& x, const TensorView& y, const Op& op, compute_t<T> factor) {
  using C = compute_t<T>;
  const std::int64_t outer = x.shape[0], n = x.shape[1], inner = x.shape[2];
  const T* from = x.as<const T>();
  T* to = y.as<T>();
  if (inner == 1) {
    parallel_for(outer, kGrain / (n + 1) + 1, [=](std::int64_t begin, std::int64_t end) {
      for (std::int64_t at = begin; at < end; ++at) {
        to[at] = static_cast<T>(reduce_row<C>(from + at * n, n, op) * factor);
      }
    });
    return;
  }
  for_columns(outer, n, inner, [=](std::int64_t at, std::int64_t column, std::int64_t width) {
    // In chunks, like a row: a long sum keeps its digits.
    C result[kColumns], part[kColumns];
    for (std::int64_t c = 0; c < width; ++c) result[c] = Op::identity();
    for (std::int64_t first = 0; first < n; first += kChunk) {
      for (std::int64_t c = 0; c < width; ++c) part[c] = Op::identity();
      const std::int64_t last = n - first < kChunk ? n : first + kChunk;
      for (std::int64_t i = first; i < last; ++i) {
        const T* __restrict row = from + (at * n + i) * inner + column;
        for (std::int64_t c = 0; c < width; ++c) part[c] = op(part[c], static_cast<C>(row[c]));
      }
      for (std::int64_t c = 0; c < width; ++c) result[c] = op(result[c], part[c]);
    }
    for (std::int64_t c = 0; c < width; ++c) {
      to[at * inner + column + c] = static_cast<T>(result[c] * factor);
    }
  });
}

/// Blocks of lanes first, which are vector code; then the place of the first best one.
template <typename T, typename Better>
DLCUDA_INLINE std::int64_t best_of_row(const T* row, std::int64_t n, const Better& better) {
  using C = compute_t<T>;
  C best = static_cast<C>(row[0]);
  if (n >= 2 * kLanes) {
    C lane[kLanes];
    for (std::int64_t k = 0; k < kLanes; ++k) lane[k] = static_cast<C>(row[k]);
    std::int64_t i = kLanes;
    for (; i + kLanes <= n; i += kLanes) {
      for (std::int64_t k = 0; k < kLanes; ++k) {
        const C value = static_cast<C>(row[i + k]);
        lane[k] = better(value, lane[k]) ? value : lane[k];
      }
    }
    for (std::int64_t k = 0; k < kLanes; ++k) best = better(lane[k], best) ? lane[k] : best;
    for (; i < n; ++i) best = better(static_cast<C>(row[i]), best) ? static_cast<C>(row[i]) : best;
  } else {
    for (std::int64_t i = 1; i < n; ++i) {
      best = better(static_cast<C>(row[i]), best) ? static_cast<C>(row[i]) : best;
    }
  }
  for (std::int64_t i = 0; i < n; ++i) {
    const C value = static_cast<C>(row[i]);
    if (value == best || (value != value && best != best)) return i;
  }
  return 0;
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
    // The first of the best ones; a NaN is better than all numbers.
    const auto better = [=](C value, C best) {
      return (smallest ? value < best : value > best) || (value != value && best == best);
    };
    if (inner == 1) {
      parallel_for(x.shape[0], kGrain / (n + 1) + 1, [=](std::int64_t begin, std::int64_t end) {
        for (std::int64_t at = begin; at < end; ++at) to[at] = best_of_row(from + at * n, n, better);
      });
      return;
    }
    for_columns(x.shape[0], n, inner, [=](std::int64_t at, std::int64_t column, std::int64_t width) {
      C largest[kColumns];
      std::int64_t best[kColumns];
      const T* __restrict first = from + at * n * inner + column;
      for (std::int64_t c = 0; c < width; ++c) {
        largest[c] = static_cast<C>(first[c]);
        best[c] = 0;
      }
      for (std::int64_t i = 1; i < n; ++i) {
        const T* __restrict row = first + i * inner;
        for (std::int64_t c = 0; c < width; ++c) {
          const C value = static_cast<C>(row[c]);
          const bool wins = better(value, largest[c]);
          largest[c] = wins ? value : largest[c];
          best[c] = wins ? i : best[c];
        }
      }
      for (std::int64_t c = 0; c < width; ++c) to[at * inner + column + c] = best[c];
    });
  });
}

}  // namespace dlcuda::kernels::cpu::DLCUDA_ISA

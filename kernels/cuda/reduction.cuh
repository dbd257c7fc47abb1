// Sums and maxima in a fixed order: over a warp, over a block, and over the middle axis of an (outer, n,
// inner) array in passes whose chunks depend on the sizes alone. The same bits every run, on every device,
// for data of one alignment: a tensor that begins off a 16-byte boundary is read element by element, in
// another order.
#pragma once

#include "dlcuda/kernels/cuda/column_reduction.cuh"

namespace dlcuda::kernels::cuda {
namespace {

struct Sum {
  static constexpr float kIdentity = 0.0f;
  __device__ float operator()(float a, float b) const { return a + b; }
};
/// NaN is larger than any number.
struct Max {
  static constexpr float kIdentity = -HUGE_VALF;
  __device__ float operator()(float a, float b) const { return a != a || a > b ? a : b; }
};

/// NaN is smaller than any number.
struct Min {
  static constexpr float kIdentity = HUGE_VALF;
  __device__ float operator()(float a, float b) const { return a != a || a < b ? a : b; }
};

/// Every lane gets the result of all lanes of its warp.
template <typename Combine>
__device__ __forceinline__ float warp_reduce(float value, const Combine& combine) {
#pragma unroll
  for (int distance = kWarp / 2; distance > 0; distance /= 2) {
    value = combine(value, __shfl_xor_sync(0xffffffffu, value, distance));
  }
  return value;
}

/// Every thread gets the result of all kThreads threads of its group: itself, a warp, or the whole block of
/// kThreads. All of the group's threads must call it.
template <int kThreads, typename Combine>
__device__ __forceinline__ float group_reduce(float value, const Combine& combine) {
  if constexpr (kThreads == 1) return value;
  value = warp_reduce(value, combine);
  if constexpr (kThreads > kWarp) {
    constexpr int kWarps = kThreads / kWarp;
    __shared__ float partial[kWarps];
    __syncthreads();  // the previous call's readers are done
    if (threadIdx.x % kWarp == 0) partial[threadIdx.x / kWarp] = value;
    __syncthreads();
    value = partial[0];
#pragma unroll
    for (int warp = 1; warp < kWarps; ++warp) value = combine(value, partial[warp]);
  }
  return value;
}

/// visitor.operator()<kThreads>() with the number of threads that share a row of n elements: a warp or a
/// block.
template <typename Visitor>
void visit_row_threads(std::int64_t n, Visitor&& visitor) {
  if (n <= 1024) {
    visitor.template operator()<kWarp>();
  } else {
    visitor.template operator()<kBlock>();
  }
}

constexpr std::int64_t kRowChunk = 4096;  // elements that one warp adds up in a pass

// x (rows, n) -> y (rows, chunks); one warp each. With N > 1, n and x are multiples of the pack.
template <typename Combine, int N, typename T, typename Out>
__global__ void reduce_rows_kernel(const T* x, std::int64_t rows, std::int64_t n, std::int64_t chunks, Out* y,
                                   float divisor) {
  const Combine combine;
  const int lane = threadIdx.x % kWarp;
  for (std::int64_t item = global_thread() / kWarp; item < rows * chunks; item += global_threads() / kWarp) {
    const std::int64_t row = item / chunks, begin = item % chunks * kRowChunk;
    const std::int64_t end = n - begin > kRowChunk ? begin + kRowChunk : n;
    float value = Combine::kIdentity;
#pragma unroll 4
    for (std::int64_t i = begin / N + lane; i < end / N; i += kWarp) {
      const Pack<T, N> pack = load_pack<T, N>(x + row * n, i);
#pragma unroll
      for (int j = 0; j < N; ++j) value = combine(value, static_cast<float>(pack.value[j]));
    }
    value = warp_reduce(value, combine);
    if (lane == 0) y[item] = Out(value / divisor);
  }
}

template <typename Combine>
struct Merge {
  struct State {
    float value = Combine::kIdentity;
  };
  __device__ static void merge(State& into, const State& other) {
    into.value = Combine{}(into.value, other.value);
  }
};

// What reduce_columns() reduces where inner > 1: a batch is an outer index, a row an element of the middle
// axis.
template <typename Combine, typename T>
struct Columns {
  using Merging = Merge<Combine>;
  using State = typename Merging::State;
  static constexpr int kPack = 16 / sizeof(T), kAtOnce = 8;
  const T* x;
  std::int64_t n, inner;

  template <int N>
  __device__ int prepare(std::int64_t) const {
    return 0;
  }
  template <int N>
  __device__ void add(int, std::int64_t batch, std::int64_t row, int step, int count, std::int64_t column,
                      State (&states)[N]) const {
    Pack<T, N> values[kAtOnce]{};
#pragma unroll
    for (int j = 0; j < kAtOnce; ++j) {
      if (j < count) {
        values[j] = load_pack<T, N>(x + (batch * n + row + std::int64_t{j} * step) * inner + column, 0);
      }
    }
#pragma unroll
    for (int j = 0; j < kAtOnce; ++j) {
      if (j >= count) break;
#pragma unroll
      for (int c = 0; c < N; ++c) {
        states[c].value = Combine{}(states[c].value, static_cast<float>(values[j].value[c]));
      }
    }
  }
};

/// Writes y (batch, columns).
template <typename State, typename Out>
struct WriteQuotient {
  Out* y;
  std::int64_t columns;
  float divisor;
  __device__ void operator()(std::int64_t batch, std::int64_t column, const State& state) const {
    y[batch * columns + column] = Out(state.value / divisor);
  }
};

/// y (rows, 1) = combine over x (rows, n), a warp's chunks at a time.
template <typename Combine, typename T, typename Out>
void reduce_rows(const char* name, const T* x, std::int64_t rows, std::int64_t n, Out* y, float divisor) {
  constexpr int kPack = 16 / sizeof(T);
  const auto pass = [&]<typename To>(To* to, std::int64_t chunks, float by) {
    const auto kernel = n % kPack == 0 && is_aligned(x, 16) ? reduce_rows_kernel<Combine, kPack, T, To>
                                                            : reduce_rows_kernel<Combine, 1, T, To>;
    launch(name, kernel, grid_for(rows * chunks, kBlock / kWarp), kBlock, 0, this_stream(), x, rows, n,
           chunks, to, by);
  };
  const std::int64_t chunks = n > kRowChunk ? n / kRowChunk + (n % kRowChunk != 0) : 1;
  if (chunks == 1) return pass(y, 1, divisor);
  const Tensor partial = Tensor::empty({rows, chunks}, DType::F32, this_device());
  pass(partial.data<float>(), chunks, 1.0f);
  reduce_rows<Combine>(name, static_cast<const float*>(partial.data<float>()), rows, chunks, y, divisor);
}

/// y (outer, inner) = combine over the middle axis of x (outer, n, inner), divided by `divisor`; an empty n
/// gives the identity. Arithmetic and partial results in f32.
template <typename Combine, typename T, typename Out>
void reduce_middle(const char* name, const T* x, std::int64_t outer, std::int64_t n, std::int64_t inner,
                   Out* y, float divisor = 1.0f) {
  if (outer == 0 || inner == 0) return;
  if (inner == 1) return reduce_rows<Combine>(name, x, outer, n, y, divisor);
  using Source = Columns<Combine, T>;
  reduce_columns(name, Source{x, n, inner}, outer, n, inner, is_aligned(x, 16),
                 WriteQuotient<typename Source::State, Out>{y, inner, divisor});
}

}  // namespace
}  // namespace dlcuda::kernels::cuda

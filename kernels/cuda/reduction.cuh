// Sums and maxima in a fixed order: over a warp, over a block, and over the middle axis of an (outer, n,
// inner) array in passes whose chunks depend on the sizes alone. The same bits every run, on every device,
// for data of one alignment: a tensor that begins off a 16-byte boundary is read element by element, in
// another order.
#pragma once

#include "dlcuda/kernels/cuda/map.cuh"

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

constexpr std::int64_t kRowChunk = 4096;    // elements that one warp adds up in a pass
constexpr std::int64_t kColumnChunk = 128;  // elements that one thread adds up in a pass

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

// x (outer, n, inner) -> y (outer, chunks, inner); one thread each, neighbours on neighbouring columns.
template <typename Combine, typename T, typename Out>
__global__ void reduce_columns_kernel(const T* x, std::int64_t outer, std::int64_t n, std::int64_t inner,
                                      std::int64_t chunks, Out* y, float divisor) {
  const Combine combine;
  for (std::int64_t item = global_thread(); item < outer * chunks * inner; item += global_threads()) {
    const std::int64_t column = item % inner, chunk = item / inner % chunks, block = item / inner / chunks;
    const std::int64_t begin = chunk * kColumnChunk;
    const std::int64_t end = n - begin > kColumnChunk ? begin + kColumnChunk : n;
    float value = Combine::kIdentity;
#pragma unroll 4
    for (std::int64_t j = begin; j < end; ++j) {
      value = combine(value, static_cast<float>(x[(block * n + j) * inner + column]));
    }
    y[item] = Out(value / divisor);
  }
}

template <typename Combine, typename T, typename Out>
void reduce_pass(const char* name, const T* x, std::int64_t outer, std::int64_t n, std::int64_t inner,
                 std::int64_t chunks, Out* y, float divisor) {
  if (inner != 1) {
    launch(name, reduce_columns_kernel<Combine, T, Out>, grid_for(outer * chunks * inner, kBlock), kBlock, 0,
           this_stream(), x, outer, n, inner, chunks, y, divisor);
    return;
  }
  constexpr int kPack = 16 / sizeof(T);
  const auto kernel = n % kPack == 0 && is_aligned(x, 16) ? reduce_rows_kernel<Combine, kPack, T, Out>
                                                          : reduce_rows_kernel<Combine, 1, T, Out>;
  launch(name, kernel, grid_for(outer * chunks, kBlock / kWarp), kBlock, 0, this_stream(), x, outer, n,
         chunks, y, divisor);
}

/// y (outer, inner) = combine over the middle axis of x (outer, n, inner), divided by `divisor`; an empty n
/// gives the identity. Arithmetic and partial results in f32.
template <typename Combine, typename T, typename Out>
void reduce_middle(const char* name, const T* x, std::int64_t outer, std::int64_t n, std::int64_t inner,
                   Out* y, float divisor = 1.0f) {
  if (outer == 0 || inner == 0) return;
  const std::int64_t chunk = inner == 1 ? kRowChunk : kColumnChunk;
  const std::int64_t chunks = n > chunk ? n / chunk + (n % chunk != 0) : 1;
  if (chunks > 1) {
    const Tensor partial = Tensor::empty({outer, chunks, inner}, DType::F32, this_device());
    reduce_pass<Combine>(name, x, outer, n, inner, chunks, partial.data<float>(), 1.0f);
    return reduce_middle<Combine>(name, static_cast<const float*>(partial.data<float>()), outer, chunks,
                                  inner, y, divisor);
  }
  reduce_pass<Combine>(name, x, outer, n, inner, 1, y, divisor);
}

}  // namespace
}  // namespace dlcuda::kernels::cuda

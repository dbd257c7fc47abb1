// Moments of the elements of each channel of (outer, C, inner), merged in a fixed order.
#pragma once

#include "dlcuda/kernels/cuda/channels.cuh"
#include "dlcuda/kernels/functors/moments.h"

namespace dlcuda::kernels::cuda {
namespace {

/// Values that a thread reads at once, and reduces to moments in registers.
constexpr int kMomentsAtOnce = 8;

/// Moments of x[first] - guess, x[first + step] - guess, ... : `count` values.
template <typename T>
__device__ __forceinline__ functors::Moments<float> moments_of(const T* x, std::int64_t first,
                                                               std::int64_t step, std::int64_t count,
                                                               float guess) {
  functors::Moments<float> all;
  for (std::int64_t i = 0; i < count; i += kMomentsAtOnce) {
    const int n = count - i < kMomentsAtOnce ? static_cast<int>(count - i) : kMomentsAtOnce;
    float values[kMomentsAtOnce];
#pragma unroll
    for (int j = 0; j < kMomentsAtOnce; ++j) {
      values[j] = j < n ? static_cast<float>(x[first + (i + j) * step]) - guess : 0.0f;
    }
    all.merge(functors::Moments<float>::of(values, n));
  }
  return all;
}

struct MergeMoments {
  using State = functors::Moments<float>;
  __device__ static void merge(State& into, const State& other) { into.merge(other); }
};

/// What reduce_columns() reduces in channels-last: rows are pixels, columns channels.
template <typename T>
struct MomentColumns {
  using Merging = MergeMoments;
  using State = MergeMoments::State;
  static constexpr int kPack = 16 / sizeof(T);
  // Rows of packs of 8 values fill the registers sooner.
  static constexpr int kAtOnce = sizeof(T) == 2 ? kMomentsAtOnce / 2 : kMomentsAtOnce;
  const T* x;
  std::int64_t outer, channels;

  template <int N>
  struct Guesses {
    float of[N];
  };
  template <int N>
  __device__ Guesses<N> prepare(std::int64_t column) const {
    Guesses<N> guesses;
#pragma unroll
    for (int c = 0; c < N; ++c) {
      guesses.of[c] = functors::guess_mean<float>(x, outer, channels, 1, column + c);
    }
    return guesses;
  }
  template <int N>
  __device__ void add(const Guesses<N>& guesses, std::int64_t, std::int64_t row, int step, int count,
                      std::int64_t column, State (&states)[N]) const {
    Pack<T, N> rows[kAtOnce]{};
#pragma unroll
    for (int j = 0; j < kAtOnce; ++j) {
      if (j < count) rows[j] = load_pack<T, N>(x + (row + std::int64_t{j} * step) * channels + column, 0);
    }
#pragma unroll
    for (int c = 0; c < N; ++c) {
      float values[kAtOnce];
#pragma unroll
      for (int j = 0; j < kAtOnce; ++j) {
        values[j] = j < count ? static_cast<float>(rows[j].value[c]) - guesses.of[c] : 0.0f;
      }
      states[c].merge(State::of(values, count));
    }
  }
};

// One warp takes kRowChunk elements of a plane. moments: (outer * chunks, C).
template <typename T>
__global__ void plane_moments_kernel(const T* x, std::int64_t outer, std::int64_t channels,
                                     std::int64_t inner, std::int64_t chunks,
                                     functors::Moments<float>* moments) {
  const int lane = threadIdx.x % kWarp;
  for (std::int64_t item = global_thread() / kWarp; item < outer * channels * chunks;
       item += global_threads() / kWarp) {
    const std::int64_t chunk = item % chunks, plane = item / chunks, begin = chunk * kRowChunk + lane;
    const std::int64_t end = inner - chunk * kRowChunk > kRowChunk ? (chunk + 1) * kRowChunk : inner;
    const std::int64_t count = begin < end ? (end - begin + kWarp - 1) / kWarp : 0;
    functors::Moments<float> all =
        moments_of(x, plane * inner + begin, kWarp, count,
                   functors::guess_mean<float>(x, outer, channels, inner, plane % channels));
#pragma unroll
    for (int distance = kWarp / 2; distance > 0; distance /= 2) {
      functors::Moments<float> other;
      other.count = __shfl_xor_sync(0xffffffffu, all.count, distance);
      other.mean = __shfl_xor_sync(0xffffffffu, all.mean, distance);
      other.squares = __shfl_xor_sync(0xffffffffu, all.squares, distance);
      all.merge(other);
    }
    if (lane == 0) moments[(plane / channels * chunks + chunk) * channels + plane % channels] = all;
  }
}

/// finish(0, c, moments) with the moments of each channel relative to its guess_mean(). x: aligned for packs
/// or not.
template <typename T, typename Finish>
void channel_moments(const char* name, const T* x, const ByChannel& sizes, const Finish& finish) {
  if (sizes.inner == 1) {
    return reduce_columns(name, MomentColumns<T>{x, sizes.outer, sizes.channels}, 1, sizes.outer,
                          sizes.channels, is_aligned(x, 16), finish);
  }
  const std::int64_t chunks = plane_chunks(sizes), rows = sizes.outer * chunks;
  const Tensor room = room_for<functors::Moments<float>>(rows, sizes.channels);
  auto* const moments = states_in<functors::Moments<float>>(room);
  launch(name, plane_moments_kernel<T>, grid_for(rows * sizes.channels, kBlock / kWarp), kBlock, 0,
         this_stream(), x, sizes.outer, sizes.channels, sizes.inner, chunks, moments);
  reduce_columns(name, States<MergeMoments>{moments, rows, sizes.channels}, 1, rows, sizes.channels, false,
                 finish);
}

}  // namespace
}  // namespace dlcuda::kernels::cuda

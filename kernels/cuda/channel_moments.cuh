// Moments of the elements of each channel of (outer, C, inner), merged in a fixed order.
#pragma once

#include "dlcuda/kernels/cuda/channels.cuh"
#include "dlcuda/kernels/functors/moments.h"

namespace dlcuda::kernels::cuda {
namespace {

/// Values that a thread reads at once, and reduces to moments in registers.
constexpr int kAtOnce = 8;

/// Moments of x[first] - guess, x[first + step] - guess, ... : `count` values.
template <typename T>
__device__ __forceinline__ functors::Moments<float> moments_of(const T* x, std::int64_t first,
                                                               std::int64_t step, std::int64_t count,
                                                               float guess) {
  functors::Moments<float> all;
  for (std::int64_t i = 0; i < count; i += kAtOnce) {
    const int n = count - i < kAtOnce ? static_cast<int>(count - i) : kAtOnce;
    float values[kAtOnce];
#pragma unroll
    for (int j = 0; j < kAtOnce; ++j) {
      values[j] = j < n ? static_cast<float>(x[first + (i + j) * step]) - guess : 0.0f;
    }
    all.merge(functors::Moments<float>::of(values, n));
  }
  return all;
}

// One thread takes kColumnChunk elements of a channel. moments: (chunks, C).
template <typename T>
__global__ void column_moments_kernel(const T* x, std::int64_t outer, std::int64_t channels,
                                      std::int64_t chunks, functors::Moments<float>* moments) {
  for (std::int64_t item = global_thread(); item < chunks * channels; item += global_threads()) {
    const std::int64_t begin = item / channels * kColumnChunk;
    const std::int64_t count = outer - begin > kColumnChunk ? kColumnChunk : outer - begin;
    const std::int64_t channel = item % channels;
    moments[item] = moments_of(x, begin * channels + channel, channels, count,
                               functors::guess_mean<float>(x, outer, channels, 1, channel));
  }
}

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

// from (rows, C) -> to (chunks, C); one thread merges kColumnChunk rows.
__global__ void merge_moments_kernel(const functors::Moments<float>* from, std::int64_t rows,
                                     std::int64_t channels, std::int64_t chunks,
                                     functors::Moments<float>* to) {
  for (std::int64_t item = global_thread(); item < chunks * channels; item += global_threads()) {
    const std::int64_t begin = item / channels * kColumnChunk;
    const std::int64_t end = rows - begin > kColumnChunk ? begin + kColumnChunk : rows;
    functors::Moments<float> all;
    for (std::int64_t row = begin; row < end; ++row) all.merge(from[row * channels + item % channels]);
    to[item] = all;
  }
}

/// The moments of each channel relative to its guess_mean(): C of them, as bytes.
template <typename T>
Tensor channel_moments(const char* name, const T* x, const ByChannel& sizes) {
  const auto room = [&](std::int64_t rows) {
    constexpr std::int64_t kBytes = sizeof(functors::Moments<float>);
    return Tensor::empty({rows, sizes.channels, kBytes}, DType::U8, this_device());
  };
  const auto moments_in = [](const Tensor& bytes) {
    return static_cast<functors::Moments<float>*>(bytes.raw().data);
  };
  const bool columns = sizes.inner == 1;
  const std::int64_t length = columns ? sizes.outer : sizes.inner, chunk = columns ? kColumnChunk : kRowChunk;
  const std::int64_t chunks = length / chunk + (length % chunk != 0);
  std::int64_t rows = columns ? chunks : sizes.outer * chunks;
  Tensor moments = room(rows);
  if (columns) {
    launch(name, column_moments_kernel<T>, grid_for(rows * sizes.channels, kBlock), kBlock, 0, this_stream(),
           x, sizes.outer, sizes.channels, chunks, moments_in(moments));
  } else {
    launch(name, plane_moments_kernel<T>, grid_for(rows * sizes.channels, kBlock / kWarp), kBlock, 0,
           this_stream(), x, sizes.outer, sizes.channels, sizes.inner, chunks, moments_in(moments));
  }
  while (rows > 1) {
    const std::int64_t fewer = rows / kColumnChunk + (rows % kColumnChunk != 0);
    const Tensor merged = room(fewer);
    launch(name, merge_moments_kernel, grid_for(fewer * sizes.channels, kBlock), kBlock, 0, this_stream(),
           static_cast<const functors::Moments<float>*>(moments_in(moments)), rows, sizes.channels, fewer,
           moments_in(merged));
    moments = merged;
    rows = fewer;
  }
  return moments;
}

}  // namespace
}  // namespace dlcuda::kernels::cuda

// Local response normalisation across channels of (outer, C, inner); f32, f16, bf16 with f32 arithmetic.
//
//   forward   y[c] = x[c] * d[c]^-beta,  d[c] = k + alpha / size * sum of x[j]^2 over the window of c
//   backward  dx[c] = dy[c] d[c]^-beta - 2 alpha beta / size x[c] * sum of dy[j] x[j] d[j]^(-beta - 1) over
//   the windows
//             that hold c
//
// One thread an element at a time; neighbours read the same windows from the cache. Outputs are overwritten,
// x is saved.
#include "dlcuda/kernels/local_response_norm.h"

#include "dlcuda/kernels/cuda/dtype.cuh"
#include "dlcuda/kernels/cuda/launch.cuh"
#include "dlcuda/kernels/functors/local_response_norm.h"

namespace dlcuda::kernels::cuda {
namespace {

using Window = functors::ResponseWindow<float>;

constexpr int kPixels = kWarp;  // of a plane, that a block takes at once

std::int64_t plane_tiles(const Window& window) { return (window.step + kPixels - 1) / kPixels; }

/// visit(first, c) for each element: its channel, and where its pixel's channel 0 is. Where the channels lie
/// apart, a block walks along all channels of neighbouring pixels, so that windows find in its cache what
/// they share.
template <typename Visit>
__device__ __forceinline__ void for_each_element(const Window& window, std::int64_t tiles, std::int64_t count,
                                                 const Visit& visit) {
  if (window.step == 1) {
    for (std::int64_t i = global_thread(); i < count; i += global_threads()) {
      visit(i - i % window.channels, i % window.channels);
    }
    return;
  }
  const std::int64_t picture = window.channels * window.step;
  for (std::int64_t tile = blockIdx.x; tile < count / picture * tiles; tile += gridDim.x) {
    const std::int64_t pixel = tile % tiles * kPixels + threadIdx.x % kPixels;
    if (pixel >= window.step) continue;
    for (std::int64_t c = threadIdx.x / kPixels; c < window.channels; c += kBlock / kPixels) {
      visit(tile / tiles * picture + pixel, c);
    }
  }
}

unsigned grid_of(const Window& window, std::int64_t count) {
  if (window.step == 1) return grid_for(count, kBlock);
  return grid_for(count / (window.channels * window.step) * plane_tiles(window), 1);
}

template <typename T>
__global__ void forward_kernel(const T* x, Window window, std::int64_t tiles, std::int64_t count, T* y) {
  for_each_element(window, tiles, count, [&](std::int64_t first, std::int64_t c) {
    const std::int64_t i = first + c * window.step;
    const float d = window.scale(x + first, c);
    y[i] = T(static_cast<float>(x[i]) * functors::pow(d, -window.beta));
  });
}

template <typename T>
__global__ void backward_kernel(const T* dy, const T* x, Window window, std::int64_t tiles,
                                std::int64_t count, T* dx) {
  for_each_element(window, tiles, count, [&](std::int64_t first, std::int64_t c) {
    dx[first + c * window.step] = T(window.gradient(dy + first, x + first, c));
  });
}

}  // namespace

void local_response_norm_forward(const TensorView& x, const TensorView& y,
                                 const LocalResponseNormParams& params) {
  visit_float("local_response_norm_forward", x.dtype, [&]<typename T>() {
    const Window window(x.shape[1], x.shape[2], params);
    launch("local_response_norm_forward", forward_kernel<T>, grid_of(window, x.numel()), kBlock, 0,
           this_stream(), x.as<const T>(), window, plane_tiles(window), x.numel(), y.as<T>());
  });
}

void local_response_norm_backward(const TensorView& dy, const TensorView& x, const TensorView& dx,
                                  const LocalResponseNormParams& params) {
  visit_float("local_response_norm_backward", x.dtype, [&]<typename T>() {
    const Window window(x.shape[1], x.shape[2], params);
    launch("local_response_norm_backward", backward_kernel<T>, grid_of(window, x.numel()), kBlock, 0,
           this_stream(), dy.as<const T>(), x.as<const T>(), window, plane_tiles(window), x.numel(),
           dx.as<T>());
  });
}

}  // namespace dlcuda::kernels::cuda

// Gradient of the weight of a depthwise convolution (see depthwise_conv2d.cu):
//
//   dw[o, i, j] = sum over n, oh, ow of dy[n, o, oh, ow] x[n, o / M, oh sh - top + i dh, ow sw - left + j dw]
//
// f32, f16, bf16; sums in f32. dw is overwritten. Two passes in a fixed order, no atomics: first the sums of
// chunks of output pixels, whose number depends on the sizes alone, then the sums of those (reduction.cuh).
//
// A thread (channels-last), or a warp (contiguous, where the neighbouring lanes are to read neighbouring
// pixels), adds up kTile taps of one row of the kernel at a time, and so reads dy once for each such tile.
#include "dlcuda/kernels/cuda/depthwise_conv2d.cuh"
#include "dlcuda/kernels/cuda/reduction.cuh"

namespace dlcuda::kernels::cuda {
namespace {

/// Pixels of y that are summed up in the first pass, and in how many tiles a row of the kernel is.
template <typename Index>
struct Chunks {
  Index pixels, chunk, count, tiles;

  __device__ Index begin(Index c) const { return c * chunk; }
  __device__ Index end(Index c) const { return pixels - c * chunk > chunk ? (c + 1) * chunk : pixels; }
};

/// A pixel of y.
template <typename Index>
struct Pixel {
  using Position = std::make_signed_t<Index>;
  Index image;
  Position row, column;

  __device__ Pixel(Index i, const DepthwiseSizes<Index>& s) {
    column = static_cast<Position>(i % s.w.out);
    i /= s.w.out;
    row = static_cast<Position>(i % s.h.out);
    image = i / s.h.out;
  }
  __device__ void advance(const DepthwiseSizes<Index>& s) {
    if (++column < s.w.out) return;
    column = 0;
    if (++row < s.h.out) return;
    row = 0;
    ++image;
  }
};

/// Adds dy at one pixel times x at kTile taps of row kh, from column first_tap of the kernel on.
template <int kTile, int N, typename T, typename Index>
__device__ __forceinline__ void add_pixel(const T* x, const T* dy, const DepthwiseSizes<Index>& s,
                                          const Pixel<Index>& p, Index channel,
                                          typename Pixel<Index>::Position kh,
                                          typename Pixel<Index>::Position first_tap,
                                          float (&sums)[kTile][N]) {
  using Position = typename Pixel<Index>::Position;
  const Position h = s.h.at(p.row, kh);
  if (!s.h.inside(h)) return;
  float gradient[N];
  load_floats(
      dy + s.y_plane(p.image, channel) + (static_cast<std::int64_t>(p.row) * s.w.out + p.column) * s.y_step(),
      gradient);
  const T* row =
      x + s.x_plane(p.image, channel / s.multiplier) + static_cast<std::int64_t>(h) * s.w.in * s.x_step();
#pragma unroll
  for (int j = 0; j < kTile; ++j) {
    const Position w = s.w.at(p.column, first_tap + j);
    if (first_tap + j >= s.w.count || !s.w.inside(w)) continue;
    float values[N];
    load_floats(row + w * s.x_step(), values);
    add_products(values, gradient, sums[j]);
  }
}

/// Which sums an item makes: a tile of a row of the kernel, for the channels from `channel` on, in a chunk.
template <int kTile, int N, typename Index>
struct WeightItem {
  using Position = typename Pixel<Index>::Position;
  Index channel, chunk;
  Position kh, first_tap;

  // Items that read the same pixels stand together.
  __device__ WeightItem(Index i, const DepthwiseSizes<Index>& s, Index tiles) {
    if (s.channels_last) take_channel(i, s);
    first_tap = static_cast<Position>(i % tiles) * kTile;
    i /= tiles;
    kh = static_cast<Position>(i % s.h.count);
    i /= s.h.count;
    if (!s.channels_last) take_channel(i, s);
    chunk = i;
  }
  __device__ void take_channel(Index& i, const DepthwiseSizes<Index>& s) {
    channel = i % (s.out_channels() / N) * N;
    i /= s.out_channels() / N;
  }
  /// Of tap first_tap + j of channel + lane, in partial (chunks, O, KH, KW).
  __device__ std::int64_t place(const DepthwiseSizes<Index>& s, int j, int lane) const {
    const std::int64_t row =
        (static_cast<std::int64_t>(chunk) * s.out_channels() + channel + lane) * s.h.count;
    return (row + kh) * s.w.count + first_tap + j;
  }
};

// partial (chunks, O, KH, KW); one thread an item.
template <int kTile, int N, typename T, typename Index>
__global__ void thread_sums_kernel(const T* x, const T* dy, float* partial, DepthwiseSizes<Index> s,
                                   Chunks<Index> chunks, Index items) {
  const auto threads = static_cast<Index>(global_threads());
  for (auto i = static_cast<Index>(global_thread()); i < items; i += threads) {
    const WeightItem<kTile, N, Index> item(i, s, chunks.tiles);
    const Index begin = chunks.begin(item.chunk), end = chunks.end(item.chunk);
    float sums[kTile][N] = {};
    Pixel<Index> pixel(begin, s);
    for (Index p = begin; p < end; ++p, pixel.advance(s)) {
      add_pixel(x, dy, s, pixel, item.channel, item.kh, item.first_tap, sums);
    }
#pragma unroll
    for (int j = 0; j < kTile; ++j) {
      if (item.first_tap + j >= s.w.count) break;
#pragma unroll
      for (int lane = 0; lane < N; ++lane) partial[item.place(s, j, lane)] = sums[j][lane];
    }
  }
}

// partial (chunks, O, KH, KW); one warp an item.
template <int kTile, typename T, typename Index>
__global__ void warp_sums_kernel(const T* x, const T* dy, float* partial, DepthwiseSizes<Index> s,
                                 Chunks<Index> chunks, Index items) {
  const Index lane = threadIdx.x % kWarp;
  const auto warps = static_cast<Index>(global_threads() / kWarp);
  for (auto i = static_cast<Index>(global_thread() / kWarp); i < items; i += warps) {
    const WeightItem<kTile, 1, Index> item(i, s, chunks.tiles);
    const Index end = chunks.end(item.chunk);
    float sums[kTile][1] = {};
    for (Index p = chunks.begin(item.chunk) + lane; p < end; p += kWarp) {
      add_pixel(x, dy, s, Pixel<Index>(p, s), item.channel, item.kh, item.first_tap, sums);
    }
#pragma unroll
    for (int j = 0; j < kTile; ++j) {
      const float sum = warp_reduce(sums[j][0], Sum());
      if (lane == 0 && item.first_tap + j < s.w.count) partial[item.place(s, j, 0)] = sum;
    }
  }
}

/// Long enough for the first pass to read far more than it writes, short enough for many threads.
std::int64_t chunk_of(std::int64_t pixels, bool warps) {
  const std::int64_t shortest = warps ? 128 : 64, longest = warps ? 8192 : 512;
  return std::clamp<std::int64_t>(pixels / 2048, shortest, longest);
}

template <int kTile, typename T>
void launch_weight(const TensorView& x, const TensorView& dy, const TensorView& dw,
                   const Conv2dParams& params) {
  const char* name = "depthwise_conv2d_backward_weight";
  const bool warps = !lies_channels_last(x, dy);
  const std::int64_t pixels = dy.shape[0] * dy.shape[2] * dy.shape[3], chunk = chunk_of(pixels, warps);
  const std::int64_t count = pixels / chunk + (pixels % chunk != 0);
  const std::int64_t tiles = dw.shape[3] / kTile + (dw.shape[3] % kTile != 0);
  const int pack = packs_channels<T>(x, dy) ? kPack<T> : 1;
  const std::int64_t items = count * dw.shape[2] * tiles * (dw.shape[0] / pack);
  const Tensor partial = Tensor::empty({count, dw.numel()}, DType::F32, this_device());

  visit_depthwise(x, dw, dy, params, items, [&]<typename Index>(const DepthwiseSizes<Index>& s) {
    const Chunks<Index> chunks{static_cast<Index>(pixels), static_cast<Index>(chunk),
                               static_cast<Index>(count), static_cast<Index>(tiles)};
    const auto kernel = warps      ? warp_sums_kernel<kTile, T, Index>
                        : pack > 1 ? thread_sums_kernel<kTile, kPack<T>, T, Index>
                                   : thread_sums_kernel<kTile, 1, T, Index>;
    launch(name, kernel, grid_for(items, warps ? kBlock / kWarp : kBlock), kBlock, 0, this_stream(),
           x.as<const T>(), dy.as<const T>(), partial.data<float>(), s, chunks, items);
  });
  reduce_middle<Sum>(name, static_cast<const float*>(partial.data<float>()), 1, count, dw.numel(),
                     dw.as<T>());
}

}  // namespace

void depthwise_conv2d_backward_weight(const TensorView& x, const TensorView& dy, const TensorView& dw,
                                      const Conv2dParams& params) {
  visit_float("depthwise_conv2d_backward_weight", x.dtype, [&]<typename T>() {
    // Rows of 1 to 3, and of 6, are tiles of 3 without or with little rest; 4, 5, 7 and others of 5.
    const bool threes = dw.shape[3] <= 3 || dw.shape[3] % 3 == 0;
    threes ? launch_weight<3, T>(x, dy, dw, params) : launch_weight<5, T>(x, dy, dw, params);
  });
}

}  // namespace dlcuda::kernels::cuda

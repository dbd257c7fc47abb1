// Gradient of the weight of a depthwise convolution (see depthwise_conv2d.cu):
//
//   dw[o, i, j] = sum over n, oh, ow of dy[n, o, oh, ow] a[n, o / M, oh sh - top + i dh, ow sw - left + j dw]
//
// a is x, or f(norm(x)), computed once more (depthwise_conv2d_norm.cu). f32, f16, bf16; sums in f32. dw is
// overwritten. Two passes in a fixed order, no atomics: first the sums of chunks of output pixels, whose
// number depends on the sizes alone, then the sums of those (reduction.cuh).
//
// 3x3 taps with stride 1 or 2 in channels-last run in tiles (depthwise_tiles.cuh): all taps of a thread's
// channels are summed at once. Else a thread (channels-last), or a warp (contiguous, where the neighbouring
// lanes are to read neighbouring pixels), adds up kTile taps of one row of the kernel at a time, and so reads
// dy once for each such tile.
#include "dlcuda/kernels/cuda/depthwise_tiles.cuh"
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
template <int kTile, int N, typename T, typename Input, typename Index>
__device__ __forceinline__ void add_pixel(const T* x, const T* dy, const Input& input,
                                          const typename Input::template Channels<N>& channels,
                                          const DepthwiseSizes<Index>& s, const Pixel<Index>& p,
                                          Index channel, typename Pixel<Index>::Position kh,
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
    input.apply(channels, values);
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
template <int kTile, int N, typename T, typename Input, typename Index>
__global__ void thread_sums_kernel(const T* x, const T* dy, float* partial, Input input,
                                   DepthwiseSizes<Index> s, Chunks<Index> chunks, Index items) {
  const auto threads = static_cast<Index>(global_threads());
  for (auto i = static_cast<Index>(global_thread()); i < items; i += threads) {
    const WeightItem<kTile, N, Index> item(i, s, chunks.tiles);
    const auto channels = input.template channels<N>(item.channel / s.multiplier);
    const Index begin = chunks.begin(item.chunk), end = chunks.end(item.chunk);
    float sums[kTile][N] = {};
    Pixel<Index> pixel(begin, s);
    for (Index p = begin; p < end; ++p, pixel.advance(s)) {
      add_pixel(x, dy, input, channels, s, pixel, item.channel, item.kh, item.first_tap, sums);
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
template <int kTile, typename T, typename Input, typename Index>
__global__ void warp_sums_kernel(const T* x, const T* dy, float* partial, Input input,
                                 DepthwiseSizes<Index> s, Chunks<Index> chunks, Index items) {
  const Index lane = threadIdx.x % kWarp;
  const auto warps = static_cast<Index>(global_threads() / kWarp);
  for (auto i = static_cast<Index>(global_thread() / kWarp); i < items; i += warps) {
    const WeightItem<kTile, 1, Index> item(i, s, chunks.tiles);
    const auto channels = input.template channels<1>(item.channel / s.multiplier);
    const Index end = chunks.end(item.chunk);
    float sums[kTile][1] = {};
    for (Index p = chunks.begin(item.chunk) + lane; p < end; p += kWarp) {
      add_pixel(x, dy, input, channels, s, Pixel<Index>(p, s), item.channel, item.kh, item.first_tap, sums);
    }
#pragma unroll
    for (int j = 0; j < kTile; ++j) {
      const float sum = warp_reduce(sums[j][0], Sum());
      if (lane == 0 && item.first_tap + j < s.w.count) partial[item.place(s, j, 0)] = sum;
    }
  }
}

/// The nine taps of a channel.
struct MergeTaps {
  struct State {
    float of[kTileKernel * kTileKernel] = {};
  };
  __device__ static void merge(State& into, const State& other) {
#pragma unroll
    for (int k = 0; k < kTileKernel * kTileKernel; ++k) into.of[k] += other.of[k];
  }
};

/// A row is a tile of dy.
template <typename T, typename Input, int kStride>
struct WeightTiles {
  using Merging = MergeTaps;
  static constexpr int kAtOnce = 1;
  const T *x, *dy;
  Input input;
  DepthwiseSizes<std::uint32_t> s;
  TileGrid grid;

  template <int N>
  __device__ typename Input::template Channels<N> prepare(std::int64_t channel) const {
    return input.template channels<N>(channel);
  }
  template <int N>
  __device__ void add(const typename Input::template Channels<N>& channels, std::int64_t, std::int64_t row,
                      int, int, std::int64_t channel, MergeTaps::State (&states)[N]) const {
    const auto tile = grid.at(row);
    const T* gradients = dy + std::int64_t{tile.image} * s.h.out * s.w.out * s.channels + channel;
    Pack<T, N> gradient[kSide][kSide]{};
#pragma unroll
    for (int q = 0; q < kSide; ++q) {
#pragma unroll
      for (int p = 0; p < kSide; ++p) {
        const std::int32_t h = tile.row + q, w = tile.column + p;
        if (h >= s.h.out || w >= s.w.out) continue;
        gradient[q][p] = load_pack<T, N>(gradients + std::int64_t{h * s.w.out + w} * s.channels, 0);
      }
    }
    for_each_input<kStride, N>(x, s, tile, channel, input, channels,
                               [&](int i, int j, const float(&values)[N]) {
#pragma unroll
                                 for (int q = 0; q < kSide; ++q) {
#pragma unroll
                                   for (int p = 0; p < kSide; ++p) {
                                     const int kh = i - q * kStride, kw = j - p * kStride;
                                     if (kh < 0 || kh >= kTileKernel || kw < 0 || kw >= kTileKernel) continue;
                                     // A missing element of dy is 0, and would make NaN of what is not a
                                     // number.
                                     if (tile.row + q >= s.h.out || tile.column + p >= s.w.out) continue;
#pragma unroll
                                     for (int n = 0; n < N; ++n) {
                                       states[n].of[kh * kTileKernel + kw] +=
                                           values[n] * static_cast<float>(gradient[q][p].value[n]);
                                     }
                                   }
                                 }
                               });
  }
};

/// Writes (rows, O, KH, KW).
template <typename Out>
struct KeepTaps {
  Out* to;
  std::int64_t channels;
  __device__ void operator()(std::int64_t row, std::int64_t channel, const MergeTaps::State& state) const {
    constexpr int kTaps = kTileKernel * kTileKernel;
#pragma unroll
    for (int k = 0; k < kTaps; ++k) to[(row * channels + channel) * kTaps + k] = Out(state.of[k]);
  }
};

template <typename T, int kStride, typename Input>
void launch_weight_tiles(const char* name, const TensorView& x, const Input& input, const TensorView& dy,
                         const TensorView& dw, const DepthwiseSizes<std::uint32_t>& s) {
  using Source = WeightTiles<T, Input, kStride>;
  const TileGrid grid(dy.shape[0], dy.shape[2], dy.shape[3]);
  const Source source{x.as<const T>(), dy.as<const T>(), input, s, grid};
  const std::int64_t channels = dw.shape[0];
  const ColumnTiling tiling = tiling_of(grid.count(), kSide * kSide, channels, kTileChannels);
  if (tiling.strips == 1) {
    return launch_columns<kTileChannels>(name, source, tiling, KeepTaps<T>{dw.as<T>(), channels});
  }
  const Tensor partial = Tensor::empty({tiling.strips, dw.numel()}, DType::F32, this_device());
  launch_columns<kTileChannels>(name, source, tiling, KeepTaps<float>{partial.data<float>(), channels});
  reduce_middle<Sum>(name, static_cast<const float*>(partial.data<float>()), 1, tiling.strips, dw.numel(),
                     dw.as<T>());
}

/// Long enough for the first pass to read far more than it writes, short enough for many threads.
std::int64_t chunk_of(std::int64_t pixels, bool warps) {
  const std::int64_t shortest = warps ? 128 : 64, longest = warps ? 8192 : 512;
  return std::clamp<std::int64_t>(pixels / 2048, shortest, longest);
}

template <int kTile, typename T, typename Input>
void launch_weight(const char* name, const TensorView& x, const Input& input, const TensorView& dy,
                   const TensorView& dw, const Conv2dParams& params) {
  // With a norm only what has no tiles comes here, and takes its time.
  constexpr bool kPlain = std::is_same_v<Input, Raw>;
  const bool warps = kPlain && !lies_channels_last(x, dy);
  const std::int64_t pixels = dy.shape[0] * dy.shape[2] * dy.shape[3], chunk = chunk_of(pixels, warps);
  const std::int64_t count = pixels / chunk + (pixels % chunk != 0);
  const std::int64_t tiles = dw.shape[3] / kTile + (dw.shape[3] % kTile != 0);
  const int pack = kPlain && packs_channels<T>(x, dy) ? kPack<T> : 1;
  const std::int64_t items = count * dw.shape[2] * tiles * (dw.shape[0] / pack);
  const Tensor partial = Tensor::empty({count, dw.numel()}, DType::F32, this_device());

  visit_depthwise(x, dw, dy, params, items, [&]<typename Index>(const DepthwiseSizes<Index>& s) {
    const Chunks<Index> chunks{static_cast<Index>(pixels), static_cast<Index>(chunk),
                               static_cast<Index>(count), static_cast<Index>(tiles)};
    auto kernel = thread_sums_kernel<kTile, 1, T, Input, Index>;
    if constexpr (kPlain) {
      if (warps) kernel = warp_sums_kernel<kTile, T, Input, Index>;
      if (pack > 1) kernel = thread_sums_kernel<kTile, kPack<T>, T, Input, Index>;
    }
    launch(name, kernel, grid_for(items, warps ? kBlock / kWarp : kBlock), kBlock, 0, this_stream(),
           x.as<const T>(), dy.as<const T>(), partial.data<float>(), input, s, chunks, items);
  });
  reduce_middle<Sum>(name, static_cast<const float*>(partial.data<float>()), 1, count, dw.numel(),
                     dw.as<T>());
}

/// Empty pictures leave nothing to cut into tiles.
template <typename Input>
void backward_weight(const char* name, const TensorView& x, const Input& input, const TensorView& dy,
                     const TensorView& dw, const Conv2dParams& params) {
  visit_float(name, x.dtype, [&]<typename T>() {
    visit_tiles<T>(x, dw, dy, params, [&]<int kStride>(const auto& s) {
      if constexpr (kStride > 0) {
        if (dy.numel() > 0) return launch_weight_tiles<T, kStride>(name, x, input, dy, dw, s);
      }
      // Rows of 1 to 3, and of 6, are tiles of 3 without or with little rest; 4, 5, 7 and others of 5.
      if constexpr (std::is_same_v<Input, Raw>) {
        const bool threes = dw.shape[3] <= 3 || dw.shape[3] % 3 == 0;
        if (!threes) return launch_weight<5, T>(name, x, input, dy, dw, params);
      }
      launch_weight<3, T>(name, x, input, dy, dw, params);
    });
  });
}

}  // namespace

void depthwise_conv2d_backward_weight(const TensorView& x, const TensorView& dy, const TensorView& dw,
                                      const Conv2dParams& params) {
  backward_weight("depthwise_conv2d_backward_weight", x, Raw(), dy, dw, params);
}

void depthwise_conv2d_norm_backward_weight(const TensorView& x, const NormViews& norm, const TensorView& dy,
                                           const TensorView& dw, const Conv2dParams& params) {
  backward_weight("depthwise_conv2d_norm_backward_weight", x, Normed(norm), dy, dw, params);
}

}  // namespace dlcuda::kernels::cuda

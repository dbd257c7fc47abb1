// What the kernels of depthwise convolution share that sum over pictures on the way: what a convolution sees
// of its input, and the work cut into tiles, for kernels of 3x3 taps in channels-last.
//
// reduce_columns_kernel() (column_reduction.cuh) leaves a thread its channels for the whole launch, so that
// their taps and their norm stay in registers, as do the sums. A row of that reduction is a tile of
// neighbouring elements, whose inputs a thread reads, and normalises, once for all of them.
#pragma once

#include <array>
#include <limits>

#include "dlcuda/kernels/cuda/channels.cuh"
#include "dlcuda/kernels/cuda/depthwise_conv2d.cuh"
#include "dlcuda/kernels/functors/batch_norm.h"

namespace dlcuda::kernels::cuda {
namespace {

/// The input itself.
struct Raw {
  template <int N>
  struct Channels {};
  template <int N>
  __device__ Channels<N> channels(std::int64_t) const {
    return {};
  }
  template <int N>
  __device__ void apply(const Channels<N>&, float (&)[N]) const {}
};

/// relu(norm(x)) or relu6(norm(x)), in f32.
struct Normed {
  const float *mean, *inverse_std, *weight, *bias;
  float top;  // of ReLU6; NaN, with which every comparison is false, for ReLU

  explicit Normed(const NormViews& norm)
      : mean(norm.mean.as<const float>()),
        inverse_std(norm.inverse_std.as<const float>()),
        weight(norm.weight.as<const float>()),
        bias(norm.bias.as<const float>()),
        top(norm.activation == Activation::Relu6 ? 6.0f : std::numeric_limits<float>::quiet_NaN()) {}

  template <int N>
  struct Channels {
    functors::ChannelScale<float> of[N];
  };
  template <int N>
  __device__ Channels<N> channels(std::int64_t first) const {
    Channels<N> all;
#pragma unroll
    for (int j = 0; j < N; ++j) {
      const std::int64_t c = first + j;
      all.of[j] = functors::ChannelScale<float>(mean[c], inverse_std[c], weight[c], bias[c]);
    }
    return all;
  }
  // Written as functors::Relu6, so that NaN stays NaN, and passes its gradient on.
  __device__ float activated(const functors::ChannelScale<float>& channel, float x) const {
    const float y = channel(x);
    return y < 0.0f ? 0.0f : y > top ? top : y;
  }
  __device__ float backward(float dy, float y) const { return y <= 0.0f || y >= top ? 0.0f : dy; }
  template <int N>
  __device__ void apply(const Channels<N>& channels, float (&values)[N]) const {
#pragma unroll
    for (int j = 0; j < N; ++j) values[j] = activated(channels.of[j], values[j]);
  }
};

/// visitor(input): what the convolution sees of x.
template <typename Visitor>
void visit_input(const NormViews& norm, const Visitor& visitor) {
  norm.mean.data != nullptr ? visitor(Normed(norm)) : visitor(Raw());
}

/// Channels that a thread takes in tiles. In the 16-bit formats 16 bytes hold more, for which there are no
/// registers.
constexpr int kTileChannels = 4;
/// Height and width of a kernel that tiles are for.
constexpr int kTileKernel = 3;

/// Rows and columns of a tile. With larger ones a thread would run out of registers.
constexpr int kSide = 2;
/// And of what a tile of outputs reads, where the convolution strides.
constexpr int reach_of(int stride) { return (kSide - 1) * stride + kTileKernel; }

/// Pictures in tiles.
struct TileGrid {
  std::uint32_t images, down, across;

  TileGrid(std::int64_t images_, std::int64_t rows, std::int64_t columns)
      : images(static_cast<std::uint32_t>(images_)),
        down(static_cast<std::uint32_t>((rows + kSide - 1) / kSide)),
        across(static_cast<std::uint32_t>((columns + kSide - 1) / kSide)) {}
  std::int64_t count() const { return std::int64_t{images} * down * across; }

  struct Tile {
    std::uint32_t image;
    std::int32_t row, column;  // of its first element
  };
  __device__ Tile at(std::int64_t i) const {
    const auto tile = static_cast<std::uint32_t>(i);
    return {tile / across / down, static_cast<std::int32_t>(tile / across % down) * kSide,
            static_cast<std::int32_t>(tile % across) * kSide};
  }
};

/// Whether these lie so that tiles can take them: the stride of the tiles, or 0.
template <typename T>
int tile_stride(const TensorView& x, const TensorView& weight, const TensorView& y,
                const Conv2dParams& params) {
  const std::array<std::int64_t, 2> ones{1, 1}, twos{2, 2};
  const bool known =
      weight.shape[2] == kTileKernel && weight.shape[3] == kTileKernel && params.dilation == ones;
  const bool packs = lies_channels_last(x, y) && x.shape[1] == y.shape[1] &&
                     x.shape[1] % kTileChannels == 0 && is_aligned(x.data, kTileChannels * sizeof(T)) &&
                     is_aligned(y.data, kTileChannels * sizeof(T));
  if (!known || !packs) return 0;
  return params.stride == ones ? 1 : params.stride == twos ? 2 : 0;
}

/// visitor.operator()<kStride>(sizes) for tiles, <0> with sizes of 64 bits where there can be none.
template <typename T, typename Visitor>
void visit_tiles(const TensorView& x, const TensorView& weight, const TensorView& y,
                 const Conv2dParams& params, const Visitor& visitor) {
  const int stride = tile_stride<T>(x, weight, y, params);
  // As 64-bit sizes, of which all fit into 32 bits where visit_depthwise() says so.
  visit_depthwise(x, weight, y, params, 0, [&]<typename Index>(const DepthwiseSizes<Index>& s) {
    if constexpr (sizeof(Index) == 4) {
      if (stride == 1) return visitor.template operator()<1>(s);
      if (stride == 2) return visitor.template operator()<2>(s);
    }
    const auto wide = [](const auto& a) {
      return Taps<std::int64_t>{a.count, a.stride, a.padding, a.dilation, a.in, a.out};
    };
    visitor.template operator()<0>(DepthwiseSizes<std::uint64_t>{wide(s.h), wide(s.w), s.images, s.channels,
                                                                 s.multiplier, s.channels_last});
  });
}

/// visit(i, j, values) for what a tile of outputs reads inside x, row i and column j of it, as the
/// convolution sees N channels from `channel` on: column by column, each of which is loaded before it is
/// used.
template <int kStride, int N, typename T, typename Input, typename Channels, typename Visit>
__device__ __forceinline__ void for_each_input(const T* x, const DepthwiseSizes<std::uint32_t>& s,
                                               const TileGrid::Tile& tile, std::int64_t channel,
                                               const Input& input, const Channels& channels,
                                               const Visit& visit) {
  constexpr int kReach = reach_of(kStride);
  const T* from = x + std::int64_t{tile.image} * s.h.in * s.w.in * s.channels + channel;
  const std::int32_t h0 = tile.row * kStride - s.h.padding, w0 = tile.column * kStride - s.w.padding;
#pragma unroll
  for (int j = 0; j < kReach; ++j) {
    const std::int32_t w = w0 + j;
    if (!s.w.inside(w)) continue;
    Pack<T, N> column[kReach]{};
#pragma unroll
    for (int i = 0; i < kReach; ++i) {
      const std::int32_t h = h0 + i;
      if (s.h.inside(h)) column[i] = load_pack<T, N>(from + std::int64_t{h * s.w.in + w} * s.channels, 0);
    }
#pragma unroll
    for (int i = 0; i < kReach; ++i) {
      if (!s.h.inside(h0 + i)) continue;
      float values[N];
      to_floats(column[i], values);
      input.apply(channels, values);
      visit(i, j, values);
    }
  }
}

/// The 3x3 taps of N channels from `channel` on.
template <int N, typename T>
struct TileTaps {
  float of[kTileKernel * kTileKernel][N];

  __device__ TileTaps(const T* weight, std::int64_t channel) {
    constexpr int kTaps = kTileKernel * kTileKernel;
#pragma unroll
    for (int j = 0; j < N; ++j) {
#pragma unroll
      for (int k = 0; k < kTaps; ++k) of[k][j] = static_cast<float>(weight[(channel + j) * kTaps + k]);
    }
  }
};

/// ColumnTiling for `rows` rows of so many elements: a thread gets as many elements as it would get rows.
inline ColumnTiling tiling_of(std::int64_t rows, int elements, std::int64_t channels, int pack) {
  ColumnTiling tiling(1, rows * elements, channels, pack, false);
  tiling.rows = rows;
  tiling.strip_rows = (rows + tiling.strips - 1) / tiling.strips;
  tiling.strips = (rows + tiling.strip_rows - 1) / tiling.strip_rows;
  return tiling;
}

/// reduce_columns() for such rows, N channels to a thread.
template <int N, typename Source, typename Finish>
void reduce_elements(const char* name, const Source& source, std::int64_t rows, int elements,
                     std::int64_t channels, const Finish& finish) {
  using Merging = typename Source::Merging;
  using State = typename Merging::State;
  const ColumnTiling tiling = tiling_of(rows, elements, channels, N);
  if (tiling.strips == 1) return launch_columns<N>(name, source, tiling, finish);
  const Tensor room = room_for<State>(tiling.strips, channels);
  launch_columns<N>(name, source, tiling, KeepStates<State>{states_in<State>(room), channels});
  launch_columns<1>(name, States<Merging>{states_in<State>(room), tiling.strips, channels},
                    ColumnTiling(1, tiling.strips, channels, 1, true), finish);
}

}  // namespace
}  // namespace dlcuda::kernels::cuda

// Depthwise convolution with the norms around it (kernels/conv2d_norm.h). x, y and dy f32, f16, bf16, in the
// same format; the norm's vectors, the sums and all arithmetic f32.
//
//   forward        a = f(norm(x)), or x itself;  y = depthwise conv2d(a)
//                  sum[o] = sum of y, squares[o] = sum of y^2 over the channel, of y as it is stored
//   backward data  g = the gradient by a, where f lets it through (see depthwise_conv2d.cu)
//                  dbias[c] = sum of g, dweight[c] = sum of g * (x - mean) * inverse_std, of g as it is
//                  stored
//
// a is in f32, and 0 in the padding; nothing is saved. Outputs are overwritten. Sums run in two passes and a
// fixed order, no atomics: what the tensors hold depends on their sizes alone.
//
// 3x3 taps with stride 1 or 2 in channels-last run in tiles (depthwise_tiles.cuh), everything else element by
// element, in either format.
#include "dlcuda/kernels/cuda/depthwise_tiles.cuh"

namespace dlcuda::kernels::cuda {
namespace {

template <typename T>
__device__ __forceinline__ void add_stored(T stored, ChannelSums& sums) {
  const float value = static_cast<float>(stored);
  sums.add(value, value * value);
}

/// A row is a tile of y.
template <typename T, typename Input, int kStride>
struct ForwardTiles {
  using Merging = MergeSums;
  static constexpr int kAtOnce = 1;
  const T *x, *weight;
  T* y;
  Input input;
  DepthwiseSizes<std::uint32_t> s;
  TileGrid grid;

  template <int N>
  struct Shared {
    TileTaps<N, T> taps;
    typename Input::template Channels<N> channels;
  };
  template <int N>
  __device__ Shared<N> prepare(std::int64_t channel) const {
    return {TileTaps<N, T>(weight, channel), input.template channels<N>(channel)};
  }
  template <int N>
  __device__ void add(const Shared<N>& shared, std::int64_t, std::int64_t row, int, int, std::int64_t channel,
                      ChannelSums (&states)[N]) const {
    const auto tile = grid.at(row);
    float sums[kSide][kSide][N] = {};
    for_each_input<kStride, N>(x, s, tile, channel, input, shared.channels,
                               [&](int i, int j, const float(&values)[N]) {
#pragma unroll
                                 for (int q = 0; q < kSide; ++q) {
#pragma unroll
                                   for (int p = 0; p < kSide; ++p) {
                                     const int kh = i - q * kStride, kw = j - p * kStride;
                                     if (kh < 0 || kh >= kTileKernel || kw < 0 || kw >= kTileKernel) continue;
                                     add_products(values, shared.taps.of[kh * kTileKernel + kw], sums[q][p]);
                                   }
                                 }
                               });
    T* to = y + std::int64_t{tile.image} * s.h.out * s.w.out * s.channels + channel;
#pragma unroll
    for (int q = 0; q < kSide; ++q) {
#pragma unroll
      for (int p = 0; p < kSide; ++p) {
        const std::int32_t h = tile.row + q, w = tile.column + p;
        if (h >= s.h.out || w >= s.w.out) continue;
        Pack<T, N> out;
#pragma unroll
        for (int n = 0; n < N; ++n) {
          out.value[n] = T(sums[q][p][n]);
          add_stored(out.value[n], states[n]);
        }
        store_pack<T, N>(to + std::int64_t{h * s.w.out + w} * s.channels, 0, out);
      }
    }
  }
};

/// A row is a pixel of y.
template <typename T, typename Input>
struct ForwardPixels {
  using Merging = MergeSums;
  static constexpr int kAtOnce = 1;
  const T *x, *weight;
  T* y;
  Input input;
  DepthwiseSizes<std::uint64_t> s;

  template <int N>
  __device__ typename Input::template Channels<1> prepare(std::int64_t channel) const {
    return input.template channels<1>(channel / static_cast<std::int64_t>(s.multiplier));
  }
  template <int N>
  __device__ void add(const typename Input::template Channels<1>& shared, std::int64_t, std::int64_t row, int,
                      int, std::int64_t channel, ChannelSums (&states)[N]) const {
    const std::int64_t ow = row % s.w.out, oh = row / s.w.out % s.h.out, image = row / s.w.out / s.h.out;
    const T* plane = x + s.x_plane(image, channel / s.multiplier);
    float sum = 0.0f;
    for (std::int64_t kh = 0; kh < s.h.count; ++kh) {
      const std::int64_t h = s.h.at(oh, kh);
      if (!s.h.inside(h)) continue;
      for (std::int64_t kw = 0; kw < s.w.count; ++kw) {
        const std::int64_t w = s.w.at(ow, kw);
        if (!s.w.inside(w)) continue;
        float values[1] = {static_cast<float>(plane[(h * s.w.in + w) * s.x_step()])};
        input.apply(shared, values);
        sum += values[0] * static_cast<float>(weight[(channel * s.h.count + kh) * s.w.count + kw]);
      }
    }
    const T out = T(sum);
    y[s.y_plane(image, channel) + (oh * s.w.out + ow) * s.y_step()] = out;
    add_stored(out, states[0]);
  }
};

struct FinishTotals {
  float *sum, *squares;
  __device__ void operator()(std::int64_t, std::int64_t c, const ChannelSums& sums) const {
    sum[c] = sums.first;
    squares[c] = sums.second;
  }
};

/// Stores what of a gradient by a passes f, and adds it up.
template <typename T>
__device__ __forceinline__ T pass_back(const Normed& input, const functors::ChannelScale<float>& channel,
                                       float gradient, T x, ChannelSums& sums) {
  const float value = static_cast<float>(x);
  const T left = T(input.backward(gradient, input.activated(channel, value)));
  const float g = static_cast<float>(left);
  sums.add(g, g * (value - channel.mean));
  return left;
}

/// A row is a tile of x with what lies in the padding before it, so that in every tile the same taps meet the
/// same elements: padded row kStride t + q takes tap q - kStride d of output row t + d.
template <typename T, int kStride>
struct BackwardDataTiles {
  using Merging = MergeSums;
  static constexpr int kAtOnce = 1;
  static constexpr int kBefore = (kTileKernel - 1) / kStride;  // outputs before t that are read
  static constexpr int kRead = kBefore + (kSide - 1) / kStride + 1;
  const T *dy, *weight, *x;
  T* g;
  Normed input;
  DepthwiseSizes<std::uint32_t> s;
  TileGrid grid;

  /// Rows of padding that no tile covers.
  static std::int64_t skipped(std::int64_t padding) { return padding / kStride * kStride; }

  template <int N>
  struct Shared {
    TileTaps<N, T> taps;
    Normed::Channels<N> channels;
  };
  template <int N>
  __device__ Shared<N> prepare(std::int64_t channel) const {
    return {TileTaps<N, T>(weight, channel), input.channels<N>(channel)};
  }
  template <int N>
  __device__ void add(const Shared<N>& shared, std::int64_t, std::int64_t row, int, int, std::int64_t channel,
                      ChannelSums (&states)[N]) const {
    const auto tile = grid.at(row);
    // Padded positions of the tile, then those of x.
    const std::int32_t row0 = tile.row + s.h.padding / kStride * kStride,
                       column0 = tile.column + s.w.padding / kStride * kStride;
    const std::int32_t h0 = row0 - s.h.padding, w0 = column0 - s.w.padding;
    const T* from = dy + std::int64_t{tile.image} * s.h.out * s.w.out * s.channels + channel;
    float sums[kSide][kSide][N] = {};
#pragma unroll
    for (int j = 0; j < kRead; ++j) {
      const std::int32_t ow = column0 / kStride - kBefore + j;
      if (ow < 0 || ow >= s.w.out) continue;
      Pack<T, N> column[kRead]{};
#pragma unroll
      for (int i = 0; i < kRead; ++i) {
        const std::int32_t oh = row0 / kStride - kBefore + i;
        if (oh >= 0 && oh < s.h.out) {
          column[i] = load_pack<T, N>(from + std::int64_t{oh * s.w.out + ow} * s.channels, 0);
        }
      }
#pragma unroll
      for (int i = 0; i < kRead; ++i) {
        float values[N];
        to_floats(column[i], values);
#pragma unroll
        for (int q = 0; q < kSide; ++q) {
#pragma unroll
          for (int p = 0; p < kSide; ++p) {
            const int kh = q - kStride * (i - kBefore), kw = p - kStride * (j - kBefore);
            if (kh < 0 || kh >= kTileKernel || kw < 0 || kw >= kTileKernel) continue;
            add_products(values, shared.taps.of[kh * kTileKernel + kw], sums[q][p]);
          }
        }
      }
    }
    const std::int64_t plane = std::int64_t{tile.image} * s.h.in * s.w.in * s.channels + channel;
    Pack<T, N> in[kSide][kSide]{};
#pragma unroll
    for (int q = 0; q < kSide; ++q) {
#pragma unroll
      for (int p = 0; p < kSide; ++p) {
        const std::int32_t h = h0 + q, w = w0 + p;
        if (!s.h.inside(h) || !s.w.inside(w)) continue;
        in[q][p] = load_pack<T, N>(x + plane + std::int64_t{h * s.w.in + w} * s.channels, 0);
      }
    }
#pragma unroll
    for (int q = 0; q < kSide; ++q) {
#pragma unroll
      for (int p = 0; p < kSide; ++p) {
        const std::int32_t h = h0 + q, w = w0 + p;
        if (!s.h.inside(h) || !s.w.inside(w)) continue;
        Pack<T, N> out;
#pragma unroll
        for (int n = 0; n < N; ++n) {
          out.value[n] = pass_back(input, shared.channels.of[n], sums[q][p][n], in[q][p].value[n], states[n]);
        }
        store_pack<T, N>(g + plane + std::int64_t{h * s.w.in + w} * s.channels, 0, out);
      }
    }
  }
};

/// A row is a pixel of x.
template <typename T>
struct BackwardDataPixels {
  using Merging = MergeSums;
  static constexpr int kAtOnce = 1;
  const T *dy, *weight, *x;
  T* g;
  Normed input;
  DepthwiseSizes<std::uint64_t> s;

  template <int N>
  __device__ Normed::Channels<1> prepare(std::int64_t channel) const {
    return input.channels<1>(channel);
  }
  template <int N>
  __device__ void add(const Normed::Channels<1>& shared, std::int64_t, std::int64_t row, int, int,
                      std::int64_t channel, ChannelSums (&states)[N]) const {
    const std::int64_t w = row % s.w.in, h = row / s.w.in % s.h.in, image = row / s.w.in / s.h.in;
    const Readers<std::int64_t> rows(s.h, h), columns(s.w, w);
    float sum = 0.0f;
    for (std::int64_t kh = rows.begin; kh < s.h.count; kh += rows.step) {
      const std::int64_t oh = rows.output(kh);
      if (oh < 0) continue;
      for (std::int64_t kw = columns.begin; kw < s.w.count; kw += columns.step) {
        const std::int64_t ow = columns.output(kw);
        if (ow < 0) continue;
        for (std::uint64_t m = 0; m < s.multiplier; ++m) {
          const std::uint64_t o = channel * s.multiplier + m;
          const float tap = static_cast<float>(weight[(o * s.h.count + kh) * s.w.count + kw]);
          sum += tap * static_cast<float>(dy[s.y_plane(image, o) + (oh * s.w.out + ow) * s.y_step()]);
        }
      }
    }
    const std::int64_t place = s.x_plane(image, channel) + (h * s.w.in + w) * s.x_step();
    g[place] = pass_back(input, shared.of[0], sum, x[place], states[0]);
  }
};

struct FinishGradients {
  const float* inverse_std;
  float *dweight, *dbias;
  __device__ void operator()(std::int64_t, std::int64_t c, const ChannelSums& sums) const {
    dbias[c] = sums.first;
    dweight[c] = sums.second * inverse_std[c];
  }
};

}  // namespace

void depthwise_conv2d_norm_forward(const TensorView& x, const NormViews& norm, const TensorView& weight,
                                   const TensorView& y, const TensorView& sum, const TensorView& squares,
                                   const Conv2dParams& params) {
  const char* name = "depthwise_conv2d_norm_forward";
  const FinishTotals finish{sum.as<float>(), squares.as<float>()};
  visit_float(name, x.dtype, [&]<typename T>() {
    visit_input(norm, [&]<typename Input>(const Input& input) {
      visit_tiles<T>(x, weight, y, params, [&]<int kStride>(const auto& s) {
        if constexpr (kStride > 0) {
          using Source = ForwardTiles<T, Input, kStride>;
          const TileGrid grid(y.shape[0], y.shape[2], y.shape[3]);
          reduce_elements<kTileChannels>(
              name, Source{x.as<const T>(), weight.as<const T>(), y.as<T>(), input, s, grid}, grid.count(),
              kSide * kSide, y.shape[1], finish);
        } else {
          reduce_elements<1>(
              name, ForwardPixels<T, Input>{x.as<const T>(), weight.as<const T>(), y.as<T>(), input, s},
              y.shape[0] * y.shape[2] * y.shape[3], 1, y.shape[1], finish);
        }
      });
    });
  });
}

void depthwise_conv2d_norm_backward_data(const TensorView& dy, const TensorView& weight, const TensorView& x,
                                         const NormViews& norm, const TensorView& dx,
                                         const TensorView& dnorm_weight, const TensorView& dnorm_bias,
                                         const Conv2dParams& params) {
  const char* name = "depthwise_conv2d_norm_backward_data";
  const FinishGradients finish{norm.inverse_std.as<const float>(), dnorm_weight.as<float>(),
                               dnorm_bias.as<float>()};
  const Normed input(norm);
  visit_float(name, x.dtype, [&]<typename T>() {
    visit_tiles<T>(x, weight, dy, params, [&]<int kStride>(const auto& s) {
      if constexpr (kStride > 0) {
        using Source = BackwardDataTiles<T, kStride>;
        const auto extent = [&](int axis) {
          return x.shape[2 + axis] + params.padding[axis] - Source::skipped(params.padding[axis]);
        };
        const TileGrid grid(x.shape[0], extent(0), extent(1));
        reduce_elements<kTileChannels>(
            name, Source{dy.as<const T>(), weight.as<const T>(), x.as<const T>(), dx.as<T>(), input, s, grid},
            grid.count(), kSide * kSide, x.shape[1], finish);
      } else {
        reduce_elements<1>(name,
                           BackwardDataPixels<T>{dy.as<const T>(), weight.as<const T>(), x.as<const T>(),
                                                 dx.as<T>(), input, s},
                           x.shape[0] * x.shape[2] * x.shape[3], 1, x.shape[1], finish);
      }
    });
  });
}

}  // namespace dlcuda::kernels::cuda

// What the kernels of depthwise convolution share: sizes, and where an element lies in either format.
#pragma once

#include <type_traits>

#include "dlcuda/kernels/cuda/depthwise_conv2d.h"
#include "dlcuda/kernels/cuda/dtype.cuh"
#include "dlcuda/kernels/cuda/format.h"
#include "dlcuda/kernels/cuda/map.cuh"

namespace dlcuda::kernels::cuda {
namespace {

/// The taps of a window along one axis. Position is signed: taps can lie in the padding.
template <typename Position>
struct Taps {
  Position count, stride, padding, dilation;  // padding: before the first element
  Position in, out;                           // extents of x and y

  /// Where tap `tap` of output `o` reads x; may be outside.
  __device__ Position at(Position o, Position tap) const { return o * stride - padding + tap * dilation; }
  __device__ bool inside(Position i) const { return i >= 0 && i < in; }
};

/// The taps through which outputs read element i: the first, the distance to the next, the output of each.
template <typename Position>
struct Readers {
  Position begin, step, padded, dilation, stride, out;

  __device__ Readers(const Taps<Position>& taps, Position i)
      : begin(taps.dilation == 1 ? (i + taps.padding) % taps.stride : 0),
        step(taps.dilation == 1 ? taps.stride : 1),
        padded(i + taps.padding),
        dilation(taps.dilation),
        stride(taps.stride),
        out(taps.out) {}
  /// -1: none.
  __device__ Position output(Position tap) const {
    const Position distance = padded - tap * dilation;
    if (distance < 0 || distance % stride != 0 || distance / stride >= out) return -1;
    return distance / stride;
  }
};

/// Sizes, and where the plane of a channel lies: its pixels are one element apart in contiguous format, all
/// channels in channels-last.
template <typename Index>
struct DepthwiseSizes {
  using Position = std::make_signed_t<Index>;
  Taps<Position> h, w;
  Index images, channels, multiplier;  // of x; y has channels * multiplier
  bool channels_last;

  __device__ Index out_channels() const { return channels * multiplier; }
  /// The first element of a plane.
  __device__ std::int64_t plane(Index n, Index c, Index all_channels, const Position height,
                                const Position width) const {
    const std::int64_t pixels = static_cast<std::int64_t>(height) * width;
    return channels_last ? n * pixels * all_channels + c
                         : (static_cast<std::int64_t>(n) * all_channels + c) * pixels;
  }
  __device__ std::int64_t x_plane(Index n, Index c) const { return plane(n, c, channels, h.in, w.in); }
  __device__ std::int64_t y_plane(Index n, Index o) const {
    return plane(n, o, out_channels(), h.out, w.out);
  }
  /// From one pixel to the next.
  __device__ std::int64_t x_step() const { return channels_last ? channels : 1; }
  __device__ std::int64_t y_step() const { return channels_last ? out_channels() : 1; }
};

inline bool lies_channels_last(const TensorView& x, const TensorView& y) {
  return is_channels_last(x) || is_channels_last(y);
}

/// visitor.operator()<Index>(sizes). Index is unsigned; 32 bits where every item, element and position fits.
template <typename Visitor>
void visit_depthwise(const TensorView& x, const TensorView& weight, const TensorView& y,
                     const Conv2dParams& params, std::int64_t items, Visitor&& visitor) {
  std::int64_t largest = std::max({items, x.numel(), y.numel(), weight.numel()});
  for (const int axis : {0, 1}) {
    // No position is larger than the padded extent, within which conv2d_shape has found every window.
    largest = std::max({largest, params.stride[axis], params.dilation[axis], weight.shape[2 + axis],
                        x.shape[2 + axis] + params.padding[axis] + params.padding[2 + axis]});
  }
  visit_index(largest, [&]<typename Index>() {
    using Position = std::make_signed_t<Index>;
    const auto axis = [&](int a) {
      return Taps<Position>{
          static_cast<Position>(weight.shape[2 + a]), static_cast<Position>(params.stride[a]),
          static_cast<Position>(params.padding[a]),   static_cast<Position>(params.dilation[a]),
          static_cast<Position>(x.shape[2 + a]),      static_cast<Position>(y.shape[2 + a])};
    };
    visitor.template operator()<Index>(DepthwiseSizes<Index>{
        axis(0), axis(1), static_cast<Index>(x.shape[0]), static_cast<Index>(x.shape[1]),
        static_cast<Index>(y.shape[1] / x.shape[1]), lies_channels_last(x, y)});
  });
}

/// Channels that one thread takes where they lie side by side: 16 bytes of them.
template <typename T>
constexpr int kPack = 16 / sizeof(T);

template <typename T>
bool packs_channels(const TensorView& x, const TensorView& y) {
  return lies_channels_last(x, y) && x.shape[1] == y.shape[1] && x.shape[1] % kPack<T> == 0 &&
         is_aligned(x.data, 16) && is_aligned(y.data, 16);
}

template <int N, typename T>
__device__ __forceinline__ void to_floats(const Pack<T, N>& pack, float (&to)[N]) {
#pragma unroll
  for (int j = 0; j < N; ++j) to[j] = static_cast<float>(pack.value[j]);
}
/// N neighbouring elements as f32.
template <int N, typename T>
__device__ __forceinline__ void load_floats(const T* from, float (&to)[N]) {
  to_floats(load_pack<T, N>(from, 0), to);
}
template <int N, typename T>
__device__ __forceinline__ void store_floats(T* to, const float (&from)[N]) {
  Pack<T, N> pack;
#pragma unroll
  for (int j = 0; j < N; ++j) pack.value[j] = T(from[j]);
  store_pack<T, N>(to, 0, pack);
}
template <int N>
__device__ __forceinline__ void add_products(const float (&a)[N], const float (&b)[N], float (&sums)[N]) {
#pragma unroll
  for (int j = 0; j < N; ++j) sums[j] += a[j] * b[j];
}

}  // namespace
}  // namespace dlcuda::kernels::cuda

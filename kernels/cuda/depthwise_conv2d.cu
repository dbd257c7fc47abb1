// Depthwise convolution, forward and the gradient of the data. Output channel o has input channel o / M, with
// M = O / C. f32, f16, bf16 with f32 arithmetic; x and y in the same format, either one.
//
//   forward        y[n, o, oh, ow] = bias[o] + sum over i, j of w[o, i, j] x[n, o / M, oh sh - top + i dh,
//   ...] backward data  dx[n, c, h, w]  = sum over m < M, i, j of w[c M + m, i, j] dy[n, c M + m, oh, ow]
//                                    for the (oh, ow) whose tap (i, j) is at (h, w)
//
// Outputs are overwritten. One thread makes each element, in one order: no atomics.
//
// These layers do a few multiplications for each element that they move, so that memory decides. In
// channels-last a thread takes 16 bytes of channels at each pixel, with the taps copied to (KH KW, O) first
// so that they, too, are read 16 bytes at a time. It makes kRows outputs, one below the other, and reads an
// input row once for all of them where the kernel's height and stride are known to the compiler. Down and not
// across, because in contiguous format the neighbouring threads are to read neighbouring columns. strips.cuh
// tells in which order.
#include "dlcuda/kernels/copy.h"
#include "dlcuda/kernels/cuda/depthwise_conv2d.cuh"
#include "dlcuda/kernels/cuda/strips.cuh"

namespace dlcuda::kernels::cuda {
namespace {

constexpr int kRows = 4;
/// Of a strip (strips.cuh).
constexpr int kMostRows = 16;

/// Tap k of output channel o is at first + o * channel + k * step.
template <typename T>
struct TapTable {
  const T* first;
  std::int64_t channel, step;

  __device__ const T* at(std::int64_t o, std::int64_t k) const { return first + o * channel + k * step; }
  TapTable reversed(std::int64_t taps) const { return {first + (taps - 1) * step, channel, -step}; }
};

/// Image and channel of a place.
template <int N, typename Index>
struct Plane {
  Index image, channel;
  __device__ Plane(const Place<Index>& place, Index channels, bool channels_last)
      : image(channels_last ? place.outer : place.outer / channels),
        channel(channels_last ? place.pack * N : place.outer % channels) {}
};

template <int N, typename T>
__device__ __forceinline__ void load_bias(const T* bias, std::int64_t channel, float (&to)[N]) {
  if (bias != nullptr) return load_floats(bias + channel, to);
#pragma unroll
  for (int j = 0; j < N; ++j) to[j] = 0.0f;
}

// kKernel and kStride: the height of the kernel and the vertical stride, with dilation 1; or 0, any.
template <int N, int kKernel, int kStride, typename T, typename Index>
__global__ void forward_kernel(const T* x, TapTable<T> taps, const T* bias, T* y, DepthwiseSizes<Index> s,
                               Strips<Index> strips) {
  using Position = typename DepthwiseSizes<Index>::Position;
  for_each_place<Index>(strips, [&](const Place<Index>& place, std::int64_t) {
    const Plane<N, Index> item(place, s.out_channels(), s.channels_last);
    const Position first = place.row * kRows;
    const T* plane = x + s.x_plane(item.image, item.channel / s.multiplier);
    float sums[kRows][N];
#pragma unroll
    for (int q = 0; q < kRows; ++q) load_bias(bias, item.channel, sums[q]);

    for (Position kw = 0; kw < s.w.count; ++kw) {
      const Position w = s.w.at(place.column, kw);
      if (!s.w.inside(w)) continue;
      if constexpr (kKernel > 0) {
        float tap[kKernel][N];
#pragma unroll
        for (int kh = 0; kh < kKernel; ++kh) load_floats(taps.at(item.channel, kh * s.w.count + kw), tap[kh]);
#pragma unroll
        for (int r = 0; r < (kRows - 1) * kStride + kKernel; ++r) {
          const Position h = first * kStride - s.h.padding + r;
          if (!s.h.inside(h)) continue;
          float values[N];
          load_floats(plane + (static_cast<std::int64_t>(h) * s.w.in + w) * s.x_step(), values);
#pragma unroll
          for (int q = 0; q < kRows; ++q) {
            const int kh = r - q * kStride;
            if (kh >= 0 && kh < kKernel) add_products(values, tap[kh], sums[q]);
          }
        }
      } else {
        for (Position kh = 0; kh < s.h.count; ++kh) {
          float tap[N];
          load_floats(taps.at(item.channel, static_cast<std::int64_t>(kh) * s.w.count + kw), tap);
#pragma unroll
          for (int q = 0; q < kRows; ++q) {
            if (first + q >= s.h.out) break;
            const Position h = s.h.at(first + q, kh);
            if (!s.h.inside(h)) continue;
            float values[N];
            load_floats(plane + (static_cast<std::int64_t>(h) * s.w.in + w) * s.x_step(), values);
            add_products(values, tap, sums[q]);
          }
        }
      }
    }
    T* to = y + s.y_plane(item.image, item.channel);
#pragma unroll
    for (int q = 0; q < kRows; ++q) {
      if (first + q >= s.h.out) break;
      const std::int64_t pixel = static_cast<std::int64_t>(first + q) * s.w.out + place.column;
      store_floats(to + pixel * s.y_step(), sums[q]);
    }
  });
}

// N > 1 only with multiplier 1.
template <int N, typename T, typename Index>
__global__ void backward_data_kernel(const T* dy, TapTable<T> taps, T* dx, DepthwiseSizes<Index> s,
                                     Strips<Index> strips) {
  using Position = typename DepthwiseSizes<Index>::Position;
  for_each_place<Index>(strips, [&](const Place<Index>& place, std::int64_t) {
    const Plane<N, Index> item(place, s.channels, s.channels_last);
    const Readers<Position> rows(s.h, place.row), columns(s.w, place.column);
    float sums[N] = {};
    for (Position kh = rows.begin; kh < s.h.count; kh += rows.step) {
      const Position oh = rows.output(kh);
      if (oh < 0) continue;
      for (Position kw = columns.begin; kw < s.w.count; kw += columns.step) {
        const Position ow = columns.output(kw);
        if (ow < 0) continue;
        const std::int64_t pixel = static_cast<std::int64_t>(oh) * s.w.out + ow;
        for (Index m = 0; m < s.multiplier; ++m) {
          const Index o = item.channel * s.multiplier + m;
          float tap[N], values[N];
          load_floats(taps.at(o, static_cast<std::int64_t>(kh) * s.w.count + kw), tap);
          load_floats(dy + s.y_plane(item.image, o) + pixel * s.y_step(), values);
          add_products(values, tap, sums);
        }
      }
    }
    const std::int64_t pixel = static_cast<std::int64_t>(place.row) * s.w.in + place.column;
    store_floats(dx + s.x_plane(item.image, item.channel) + pixel * s.x_step(), sums);
  });
}

/// (O, KH KW) as it is, or for packs of channels a copy (KH KW, O), which `copied` keeps.
template <typename T>
TapTable<T> tap_table(const TensorView& weight, bool channels_last, Tensor& copied) {
  const std::int64_t channels = weight.shape[0], taps = weight.shape[2] * weight.shape[3];
  if (!channels_last) return {weight.as<const T>(), taps, 1};
  copied = Tensor::empty({taps, channels}, weight.dtype, this_device());
  TensorView transposed = copied.raw();
  transposed.data = weight.data;
  transposed.strides[0] = 1;
  transposed.strides[1] = taps;
  copy(transposed, copied.raw());
  return {copied.data<T>(), 1, channels};
}

/// visitor.operator()<kKernel, kStride>()
template <typename Index, typename Visitor>
void visit_height(const DepthwiseSizes<Index>& s, Visitor&& visitor) {
  if constexpr (sizeof(Index) == 4) {  // where elements need 64 bits, one kernel does
    if (s.h.dilation == 1 && s.h.count == 3 && s.h.stride == 1) return visitor.template operator()<3, 1>();
    if (s.h.dilation == 1 && s.h.count == 3 && s.h.stride == 2) return visitor.template operator()<3, 2>();
    if (s.h.dilation == 1 && s.h.count == 5 && s.h.stride == 1) return visitor.template operator()<5, 1>();
  }
  visitor.template operator()<0, 0>();
}

template <typename T, int N>
void launch_forward(const char* name, const TensorView& x, const TensorView& weight, const TapTable<T>& taps,
                    const T* bias, const TensorView& y, const Conv2dParams& params) {
  Extents groups = extents_of(y, lies_channels_last(x, y));  // of kRows rows, which a thread makes together
  groups.height = groups.height / kRows + (groups.height % kRows != 0);
  visit_depthwise(x, weight, y, params, y.numel(), [&]<typename Index>(const DepthwiseSizes<Index>& s) {
    const auto strips = strips_of<N, T, Index>(groups, kMostRows / kRows);
    visit_height(s, [&]<int kKernel, int kStride>() {
      launch(name, forward_kernel<N, kKernel, kStride, T, Index>, grid_for(strips.count, kBlock), kBlock, 0,
             this_stream(), x.as<const T>(), taps, bias, y.as<T>(), s, strips);
    });
  });
}

/// With stride 1 and a channel for a channel, the gradient is the convolution of dy with the taps turned
/// round.
Conv2dParams turned_round(const TensorView& weight, const Conv2dParams& params) {
  Conv2dParams turned = params;
  for (int i = 0; i < 4; ++i) {
    turned.padding[i] = params.dilation[i % 2] * (weight.shape[2 + i % 2] - 1) - params.padding[i];
  }
  return turned;
}

}  // namespace

void depthwise_conv2d_forward(const TensorView& x, const TensorView& weight, const TensorView& bias,
                              const TensorView& y, const Conv2dParams& params) {
  const char* name = "depthwise_conv2d_forward";
  visit_float(name, x.dtype, [&]<typename T>() {
    Tensor copied;
    const bool packs = packs_channels<T>(x, y) && is_aligned(bias.data, 16);
    const auto taps = tap_table<T>(weight, packs, copied);
    const auto launcher = packs ? launch_forward<T, kPack<T>> : launch_forward<T, 1>;
    launcher(name, x, weight, taps, bias.as<const T>(), y, params);
  });
}

void depthwise_conv2d_backward_data(const TensorView& dy, const TensorView& weight, const TensorView& dx,
                                    const Conv2dParams& params) {
  const char* name = "depthwise_conv2d_backward_data";
  visit_float(name, dy.dtype, [&]<typename T>() {
    Tensor copied;
    const bool packs = packs_channels<T>(dx, dy);
    const auto taps = tap_table<T>(weight, packs, copied);
    if (params.stride == std::array<std::int64_t, 2>{1, 1} && dx.shape[1] == dy.shape[1]) {
      const auto launcher = packs ? launch_forward<T, kPack<T>> : launch_forward<T, 1>;
      const T* no_bias = nullptr;
      return launcher(name, dy, weight, taps.reversed(weight.shape[2] * weight.shape[3]), no_bias, dx,
                      turned_round(weight, params));
    }
    const auto launch_backward = [&]<int N>() {
      const Extents extents = extents_of(dx, lies_channels_last(dx, dy));
      visit_depthwise(dx, weight, dy, params, 0, [&]<typename Index>(const DepthwiseSizes<Index>& s) {
        const auto strips = strips_of<N, T, Index>(extents, kMostRows);
        launch(name, backward_data_kernel<N, T, Index>, grid_for(strips.count, kBlock), kBlock, 0,
               this_stream(), dy.as<const T>(), taps, dx.as<T>(), s, strips);
      });
    };
    packs ? launch_backward.template operator()<kPack<T>>() : launch_backward.template operator()<1>();
  });
}

}  // namespace dlcuda::kernels::cuda

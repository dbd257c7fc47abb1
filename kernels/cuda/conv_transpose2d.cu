// Transposed convolution, by gathering: each thread makes kTile output channels of one pixel.
//
//   forward        y[n, o, oh, ow] = bias[o] + sum over c, i, j of weight[c, o, i, j] x[n, c, h, w],
//                  where oh = h sh - top + i dh, ow = w sw - left + j dw
//   backward_data  dx[n, c, h, w] = sum over o, i, j of weight[c, o, i, j] dy[n, o, oh, ow]
//
// x (N, C, H, W), weight (C, O / groups, KH, KW), f32, f16 or bf16; sums in f32. x and dx are dense, y and dy
// may be channel slices. Outputs are overwritten. Both directions are one kernel: what is gathered from, and
// which way a tap leads. The weight is first turned so that the channels that a thread makes lie side by
// side: (groups, KH, KW, from, to).
#include "dlcuda/kernels/copy.h"
#include "dlcuda/kernels/cuda/conv_transpose2d.cuh"

namespace dlcuda::kernels::cuda {
namespace {

/// Channels of the tensor that is gathered from and of the one that is made, and the groups they are in.
template <typename Index>
struct GatherSizes {
  using Position = std::make_signed_t<Index>;
  TransposedTaps<Position> h, w;
  Index images, groups, from, to;  // from, to: channels of a group
  bool channels_last;

  __device__ Index tiles() const { return (to + kTile - 1) / kTile; }
};

/// What a thread makes: channels `first` to first + kTile of a group, at one pixel.
template <typename Index>
struct GatherItem {
  using Position = std::make_signed_t<Index>;
  Index image, group, first;
  Position row, column;

  // Neighbours in memory are made by neighbouring threads.
  __device__ GatherItem(Index i, const GatherSizes<Index>& s, Position rows, Position columns) {
    if (s.channels_last) take_channels(i, s);
    column = static_cast<Position>(i % columns);
    i /= columns;
    row = static_cast<Position>(i % rows);
    i /= rows;
    if (!s.channels_last) take_channels(i, s);
    image = i;
  }
  __device__ void take_channels(Index& i, const GatherSizes<Index>& s) {
    const Index tiles = s.tiles();
    first = i % tiles * kTile;
    i /= tiles;
    group = i % s.groups;
    i /= s.groups;
  }
};

/// Where tap `tap` leads from position `o` of what is made; -1: nowhere.
template <bool kForward, typename Position>
__device__ __forceinline__ Position source(const TransposedTaps<Position>& t, Position o, Position tap) {
  if constexpr (kForward) return t.to_x(o, tap);
  const Position at = t.to_y(o, tap);
  return t.inside_y(at) ? at : -1;
}

template <bool kForward, typename T, typename Index>
__global__ void gather_kernel(const T* from, ImageStrides from_strides, const T* weight, const T* bias, T* to,
                              ImageStrides to_strides, GatherSizes<Index> s, Index items) {
  using Position = std::make_signed_t<Index>;
  const auto threads = static_cast<Index>(global_threads());
  for (auto i = static_cast<Index>(global_thread()); i < items; i += threads) {
    const GatherItem<Index> item(i, s, kForward ? s.h.out : s.h.in, kForward ? s.w.out : s.w.in);
    float sums[kTile] = {};
    for (Position kh = 0; kh < s.h.count; ++kh) {
      const Position h = source<kForward>(s.h, item.row, kh);
      if (h < 0) continue;
      for (Position kw = 0; kw < s.w.count; ++kw) {
        const Position w = source<kForward>(s.w, item.column, kw);
        if (w < 0) continue;
        const T* x = from + from_strides.at(item.image, static_cast<std::int64_t>(item.group) * s.from, h, w);
        const std::int64_t tap = (static_cast<std::int64_t>(item.group) * s.h.count + kh) * s.w.count + kw;
        const T* taps = weight + tap * s.from * s.to + item.first;
        for (Index c = 0; c < s.from; ++c, x += from_strides.c, taps += s.to) {
          const float value = static_cast<float>(*x);
#pragma unroll
          for (int j = 0; j < kTile; ++j) {
            if (item.first + j < s.to) sums[j] += value * static_cast<float>(taps[j]);
          }
        }
      }
    }
    const Index channel = item.group * s.to + item.first;
    T* out = to + to_strides.at(item.image, channel, item.row, item.column);
#pragma unroll
    for (int j = 0; j < kTile; ++j) {
      if (item.first + j >= s.to) break;
      if (bias != nullptr) sums[j] += static_cast<float>(bias[channel + j]);
      out[j * to_strides.c] = T(sums[j]);
    }
  }
}

/// weight (groups, C / groups, O / groups, KH, KW) as (groups, KH, KW, from, to).
Tensor turned(const TensorView& weight, std::int64_t groups, bool forward) {
  const std::int64_t c = weight.shape[0] / groups, o = weight.shape[1], kh = weight.shape[2],
                     kw = weight.shape[3];
  const std::int64_t from = forward ? c : o, to = forward ? o : c;
  Tensor result = Tensor::empty({groups, kh, kw, from, to}, weight.dtype, this_device());
  TensorView view = weight;
  view.rank = 5;
  const std::int64_t shape[] = {groups, kh, kw, from, to};
  const std::int64_t* s = weight.strides;
  const std::int64_t strides[] = {c * s[0], s[2], s[3], s[forward ? 0 : 1], s[forward ? 1 : 0]};
  std::copy_n(shape, 5, view.shape);
  std::copy_n(strides, 5, view.strides);
  copy(view, result.raw());
  return result;
}

template <bool kForward>
void gather(const char* name, const TensorView& from, const TensorView& weight, const TensorView& bias,
            const TensorView& to, const ConvTranspose2dParams& params) {
  const TensorView &x = kForward ? from : to, &y = kForward ? to : from;
  const Tensor taps = turned(weight, params.groups, kForward);
  const std::int64_t group = to.shape[1] / params.groups, tiles = group / kTile + (group % kTile != 0);
  const std::int64_t items = to.shape[0] * params.groups * tiles * to.shape[2] * to.shape[3];
  visit_float(name, from.dtype, [&]<typename T>() {
    visit_transposed(x, weight, y, params, items, [&]<typename Index>(const auto& rows, const auto& columns) {
      const GatherSizes<Index> sizes{rows,
                                     columns,
                                     static_cast<Index>(to.shape[0]),
                                     static_cast<Index>(params.groups),
                                     static_cast<Index>(from.shape[1] / params.groups),
                                     static_cast<Index>(group),
                                     lies_channels_last(to)};
      launch(name, gather_kernel<kForward, T, Index>, grid_for(items, kBlock), kBlock, 0, this_stream(),
             from.as<const T>(), ImageStrides(from), static_cast<const T*>(taps.data<T>()),
             bias.as<const T>(), to.as<T>(), ImageStrides(to), sizes, static_cast<Index>(items));
    });
  });
}

}  // namespace

void conv_transpose2d_forward(const TensorView& x, const TensorView& weight, const TensorView& bias,
                              const TensorView& y, const ConvTranspose2dParams& params) {
  gather<true>("conv_transpose2d_forward", x, weight, bias, y, params);
}

void conv_transpose2d_backward_data(const TensorView& dy, const TensorView& weight, const TensorView& dx,
                                    const ConvTranspose2dParams& params) {
  gather<false>("conv_transpose2d_backward_data", dy, weight, TensorView{}, dx, params);
}

}  // namespace dlcuda::kernels::cuda

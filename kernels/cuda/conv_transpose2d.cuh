// What the kernels of the transposed convolution share: how positions of x and y meet at a tap. x and y are
// addressed by their strides: either format, y also as a channel slice.
#pragma once

#include <type_traits>

#include "dlcuda/kernels/conv_transpose2d.h"
#include "dlcuda/kernels/cuda/dtype.cuh"
#include "dlcuda/kernels/cuda/map.cuh"

namespace dlcuda::kernels::cuda {
namespace {

/// One axis. Positions are signed: a tap may point outside.
template <typename Position>
struct TransposedTaps {
  Position count, stride, padding, dilation;
  Position in, out;  // extents of x and y

  /// The position of y that x's position h reaches by tap i; may be outside.
  __device__ Position to_y(Position h, Position i) const { return h * stride - padding + i * dilation; }
  __device__ bool inside_y(Position o) const { return o >= 0 && o < out; }
  /// The position of x from which tap i reaches y's position o, or -1.
  __device__ Position to_x(Position o, Position i) const {
    const Position from = o + padding - i * dilation;
    if (from < 0 || from % stride != 0) return -1;
    const Position h = from / stride;
    return h < in ? h : -1;
  }
};

/// A tensor's strides, in elements.
struct ImageStrides {
  std::int64_t n, c, h, w;
  explicit ImageStrides(const TensorView& x)
      : n(x.strides[0]), c(x.strides[1]), h(x.strides[2]), w(x.strides[3]) {}
  __device__ std::int64_t at(std::int64_t i, std::int64_t channel, std::int64_t row,
                             std::int64_t column) const {
    return i * n + channel * c + row * h + column * w;
  }
};

/// Whether channels are neighbours; which items neighbouring threads take follows from that.
inline bool lies_channels_last(const TensorView& x) { return x.strides[1] == 1 && x.shape[1] > 1; }

/// visitor.operator()<Index>(rows, columns): the taps of both axes. Index is unsigned; 32 bits where every
/// item, element and position fits.
template <typename Visitor>
void visit_transposed(const TensorView& x, const TensorView& weight, const TensorView& y,
                      const ConvTranspose2dParams& params, std::int64_t items, Visitor&& visitor) {
  std::int64_t largest = std::max({items, x.numel(), y.numel(), weight.numel()});
  for (const int axis : {0, 1}) {
    largest = std::max(
        {largest, params.stride[axis], y.shape[2 + axis] + params.padding[axis] + params.padding[2 + axis]});
  }
  visit_index(largest, [&]<typename Index>() {
    using Position = std::make_signed_t<Index>;
    const auto axis = [&](int a) {
      return TransposedTaps<Position>{
          static_cast<Position>(weight.shape[2 + a]), static_cast<Position>(params.stride[a]),
          static_cast<Position>(params.padding[a]),   static_cast<Position>(params.dilation[a]),
          static_cast<Position>(x.shape[2 + a]),      static_cast<Position>(y.shape[2 + a])};
    };
    visitor.template operator()<Index>(axis(0), axis(1));
  });
}

/// Channels that one thread works on at once, so that what it reads once is used as often.
constexpr int kTile = 4;

}  // namespace
}  // namespace dlcuda::kernels::cuda

// Average and maximum pooling. Tensors dense in either format, all the same, but that x of the max forward
// may be a channel slice in channels-last; f32, f16, bf16 with f32 arithmetic. Both formats are (outer, H, W,
// inner) in memory: NCHW has outer = N C, inner = 1; channels-last has outer = N, inner = C.
//
//   average forward   y[o] = sum of x over the window / size     size: the kernel's, or the part inside x
//   average backward  dx[i] = sum of dy[o] / size over the windows that contain i
//   max forward       y[o] = max of x over the window (NaN is largest); indices[o] = h * W + w of the first
//   maximum max backward      dx[i] = sum of dy[o] over the windows whose maximum was i
//
// Outputs are overwritten. The backward passes gather: one thread makes an element of dx, no atomics, a fixed
// order.
#include "dlcuda/kernels/pool2d.h"

#include <type_traits>

#include "dlcuda/kernels/cuda/dtype.cuh"
#include "dlcuda/kernels/cuda/format.h"
#include "dlcuda/kernels/cuda/launch.cuh"
#include "dlcuda/kernels/functors/pool2d.h"

namespace dlcuda::kernels::cuda {
namespace {

template <typename Index>
struct Geometry {
  using Position = std::make_signed_t<Index>;
  functors::PoolAxis<Position> h, w;
  Index inner;
  bool count_include_pad;

  /// 1 / the divisor of the average of window (oh, ow) would round twice; this is the divisor.
  __device__ float size(Position oh, Position ow) const {
    return functors::pool_divisor<float>(h, w, oh, ow, count_include_pad);
  }
};

constexpr int kRows = 4;  // of a column, that one thread makes

/// How many such strips there are in a tensor (outer, height, width, inner) of `count` elements.
inline std::int64_t strips(std::int64_t count, std::int64_t height) {
  return height == 0 ? 0 : count / height * ((height + kRows - 1) / kRows);
}

/// An element of a tensor (outer, height, width, inner).
template <typename Index>
struct Place {
  typename Geometry<Index>::Position row, column;
  Index outer, inner;

  /// The element (row, column) of the same plane in a tensor of this height and width.
  __device__ std::int64_t in_plane(Index r, Index c, Index height, Index width, Index inner_extent) const {
    return ((static_cast<std::int64_t>(outer) * height + r) * width + c) * inner_extent + inner;
  }
};

/// visit(place, index) for every element of a tensor (outer, height, width, inner) that has `items` strips.
/// Windows that follow each other down a column share rows: a thread makes kRows outputs of them, so that its
/// block reads those once.
template <typename Index, typename Visit>
__device__ __forceinline__ void for_each_place(Index items, Index height, Index width, Index inner,
                                               const Visit& visit) {
  const Index groups = (height + kRows - 1) / kRows;
  const auto threads = static_cast<Index>(global_threads());
  for (auto item = static_cast<Index>(global_thread()); item < items; item += threads) {
    Place<Index> place;
    Index i = item;
    place.inner = i % inner;
    i /= inner;
    place.column = static_cast<decltype(place.column)>(i % width);
    i /= width;
    const Index first = i % groups * kRows;
    place.outer = i / groups;
    for (Index row = first; row < first + kRows && row < height; ++row) {
      place.row = static_cast<decltype(place.row)>(row);
      visit(place, place.in_plane(row, static_cast<Index>(place.column), height, width, inner));
    }
  }
}

template <typename T, typename Index>
__global__ void avg_forward_kernel(const T* x, Index items, Geometry<Index> g, T* y) {
  for_each_place<Index>(items, g.h.out, g.w.out, g.inner, [&](const Place<Index>& o, std::int64_t i) {
    float sum = 0.0f;
    for (auto h = g.h.begin(o.row); h < g.h.end(o.row); ++h) {
      for (auto w = g.w.begin(o.column); w < g.w.end(o.column); ++w) {
        sum += static_cast<float>(x[o.in_plane(h, w, g.h.in, g.w.in, g.inner)]);
      }
    }
    y[i] = T(sum / g.size(o.row, o.column));
  });
}

template <typename T, typename Index>
__global__ void avg_backward_kernel(const T* dy, Index items, Geometry<Index> g, T* dx) {
  for_each_place<Index>(items, g.h.in, g.w.in, g.inner, [&](const Place<Index>& p, std::int64_t i) {
    float sum = 0.0f;
    for (auto oh = g.h.first_window(p.row); oh < g.h.end_window(p.row); ++oh) {
      for (auto ow = g.w.first_window(p.column); ow < g.w.end_window(p.column); ++ow) {
        sum += static_cast<float>(dy[p.in_plane(oh, ow, g.h.out, g.w.out, g.inner)]) / g.size(oh, ow);
      }
    }
    dx[i] = T(sum);
  });
}

// x_pixel: elements from one pixel of x to the next, in a slice more than `inner`.
template <typename T, typename Index>
__global__ void max_forward_kernel(const T* x, Index x_pixel, Index items, Geometry<Index> g, T* y,
                                   std::int32_t* indices) {
  for_each_place<Index>(items, g.h.out, g.w.out, g.inner, [&](const Place<Index>& o, std::int64_t i) {
    const auto first_h = g.h.begin(o.row), first_w = g.w.begin(o.column);
    T largest = x[o.in_plane(first_h, first_w, g.h.in, g.w.in, x_pixel)];
    auto index = first_h * g.w.in + first_w;
    for (auto h = first_h; h < g.h.end(o.row); ++h) {
      for (auto w = first_w; w < g.w.end(o.column); ++w) {
        const T candidate = x[o.in_plane(h, w, g.h.in, g.w.in, x_pixel)];
        const float value = static_cast<float>(candidate), best = static_cast<float>(largest);
        if (value > best || value != value) {  // of several NaN the last one, as in PyTorch
          largest = candidate;
          index = h * g.w.in + w;
        }
      }
    }
    y[i] = largest;
    indices[i] = static_cast<std::int32_t>(index);
  });
}

template <typename T, typename Index>
__global__ void max_backward_kernel(const T* dy, const std::int32_t* indices, Index items, Geometry<Index> g,
                                    T* dx) {
  for_each_place<Index>(items, g.h.in, g.w.in, g.inner, [&](const Place<Index>& p, std::int64_t i) {
    const auto here = static_cast<std::int32_t>(p.row * g.w.in + p.column);
    float sum = 0.0f;
    for (auto oh = g.h.first_window(p.row); oh < g.h.end_window(p.row); ++oh) {
      for (auto ow = g.w.first_window(p.column); ow < g.w.end_window(p.column); ++ow) {
        const std::int64_t o = p.in_plane(oh, ow, g.h.out, g.w.out, g.inner);
        if (indices[o] == here) sum += static_cast<float>(dy[o]);
      }
    }
    dx[i] = T(sum);
  });
}

/// visitor.operator()<T, Index>(geometry) for input `in` and output `out` of a pooling.
template <typename Visitor>
void visit_pool(const char* name, const TensorView& in, const TensorView& out, const PoolGeometry& pool,
                Visitor&& visitor) {
  std::int64_t largest = std::max(in.numel(), out.numel());
  for (const PoolWindows& w : {pool.h, pool.w}) {
    // What is computed along an axis stays below these.
    largest = std::max({largest, w.kernel + w.stride + w.in + 2 * w.padding, (w.in + 1) * (w.out + 1)});
  }
  const bool channels_last = is_channels_last(in) || is_channels_last(out);
  visit_float(name, in.dtype, [&]<typename T>() {
    visit_index(largest, [&]<typename Index>() {
      using Axis = functors::PoolAxis<typename Geometry<Index>::Position>;
      visitor.template operator()<T, Index>(
          Geometry<Index>{Axis(pool.h), Axis(pool.w), static_cast<Index>(channels_last ? in.shape[1] : 1),
                          pool.count_include_pad});
    });
  });
}

}  // namespace

void avg_pool2d_forward(const TensorView& x, const TensorView& y, const PoolGeometry& pool) {
  const std::int64_t items = strips(y.numel(), y.shape[2]);
  visit_pool("avg_pool2d_forward", x, y, pool,
             [&]<typename T, typename Index>(const Geometry<Index>& geometry) {
               launch("avg_pool2d_forward", avg_forward_kernel<T, Index>, grid_for(items, kBlock), kBlock, 0,
                      this_stream(), x.as<const T>(), items, geometry, y.as<T>());
             });
}

void avg_pool2d_backward(const TensorView& dy, const TensorView& dx, const PoolGeometry& pool) {
  const std::int64_t items = strips(dx.numel(), dx.shape[2]);
  visit_pool("avg_pool2d_backward", dx, dy, pool,
             [&]<typename T, typename Index>(const Geometry<Index>& geometry) {
               launch("avg_pool2d_backward", avg_backward_kernel<T, Index>, grid_for(items, kBlock), kBlock,
                      0, this_stream(), dy.as<const T>(), items, geometry, dx.as<T>());
             });
}

void max_pool2d_forward(const TensorView& x, const TensorView& y, const TensorView& indices,
                        const PoolGeometry& pool) {
  const std::int64_t items = strips(y.numel(), y.shape[2]);
  visit_pool("max_pool2d_forward", x, y, pool,
             [&]<typename T, typename Index>(const Geometry<Index>& geometry) {
               const auto x_pixel = std::max(geometry.inner, static_cast<Index>(x.strides[3]));
               launch("max_pool2d_forward", max_forward_kernel<T, Index>, grid_for(items, kBlock), kBlock, 0,
                      this_stream(), x.as<const T>(), x_pixel, items, geometry, y.as<T>(),
                      indices.as<std::int32_t>());
             });
}

void max_pool2d_backward(const TensorView& dy, const TensorView& indices, const TensorView& dx,
                         const PoolGeometry& pool) {
  const std::int64_t items = strips(dx.numel(), dx.shape[2]);
  visit_pool("max_pool2d_backward", dx, dy, pool,
             [&]<typename T, typename Index>(const Geometry<Index>& geometry) {
               launch("max_pool2d_backward", max_backward_kernel<T, Index>, grid_for(items, kBlock), kBlock,
                      0, this_stream(), dy.as<const T>(), indices.as<const std::int32_t>(), items, geometry,
                      dx.as<T>());
             });
}

}  // namespace dlcuda::kernels::cuda

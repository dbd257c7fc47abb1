// Average and maximum pooling. Tensors dense in either format, all the same, but that x of the max forward
// may be a channel slice in channels-last; f32, f16, bf16 with f32 arithmetic; strips.cuh tells how they are
// walked through.
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
#include "dlcuda/kernels/cuda/strips.cuh"
#include "dlcuda/kernels/functors/pool2d.h"

namespace dlcuda::kernels::cuda {
namespace {

template <typename Index>
struct Geometry {
  using Position = std::make_signed_t<Index>;
  functors::PoolAxis<Position> h, w;
  bool count_include_pad;

  /// 1 / the divisor of the average of window (oh, ow) would round twice; this is the divisor.
  __device__ float size(Position oh, Position ow) const {
    return functors::pool_divisor<float>(h, w, oh, ow, count_include_pad);
  }
};

template <int N, typename T, typename Index>
__global__ void avg_forward_kernel(const T* x, Strips<Index> strips, Geometry<Index> g, T* y) {
  for_each_place<Index>(strips, [&](const Place<Index>& o, std::int64_t i) {
    float sums[N] = {};
    for (auto h = g.h.begin(o.row); h < g.h.end(o.row); ++h) {
      for (auto w = g.w.begin(o.column); w < g.w.end(o.column); ++w) {
        const Pack<T, N> part = load_pack<T, N>(x, o.in_plane(h, w, g.h.in, g.w.in, strips.packs));
#pragma unroll
        for (int j = 0; j < N; ++j) sums[j] += static_cast<float>(part.value[j]);
      }
    }
    const float size = g.size(o.row, o.column);
    Pack<T, N> result;
#pragma unroll
    for (int j = 0; j < N; ++j) result.value[j] = T(sums[j] / size);
    store_pack<T, N>(y, i, result);
  });
}

template <int N, typename T, typename Index>
__global__ void avg_backward_kernel(const T* dy, Strips<Index> strips, Geometry<Index> g, T* dx) {
  for_each_place<Index>(strips, [&](const Place<Index>& p, std::int64_t i) {
    float sums[N] = {};
    for (auto oh = g.h.first_window(p.row); oh < g.h.end_window(p.row); ++oh) {
      for (auto ow = g.w.first_window(p.column); ow < g.w.end_window(p.column); ++ow) {
        const float size = g.size(oh, ow);
        const Pack<T, N> part = load_pack<T, N>(dy, p.in_plane(oh, ow, g.h.out, g.w.out, strips.packs));
#pragma unroll
        for (int j = 0; j < N; ++j) sums[j] += static_cast<float>(part.value[j]) / size;
      }
    }
    Pack<T, N> result;
#pragma unroll
    for (int j = 0; j < N; ++j) result.value[j] = T(sums[j]);
    store_pack<T, N>(dx, i, result);
  });
}

// x_packs: from one pixel of x to the next, in a slice more than a pixel has.
template <int N, typename T, typename Index>
__global__ void max_forward_kernel(const T* x, Index x_packs, Strips<Index> strips, Geometry<Index> g, T* y,
                                   std::int32_t* indices) {
  for_each_place<Index>(strips, [&](const Place<Index>& o, std::int64_t i) {
    const auto first_h = g.h.begin(o.row), first_w = g.w.begin(o.column);
    const auto at = [&](auto h, auto w) {
      return load_pack<T, N>(x, o.in_plane(h, w, g.h.in, g.w.in, x_packs));
    };
    Pack<T, N> largest = at(first_h, first_w);
    Pack<std::int32_t, N> index;
#pragma unroll
    for (int j = 0; j < N; ++j) index.value[j] = static_cast<std::int32_t>(first_h * g.w.in + first_w);
    for (auto h = first_h; h < g.h.end(o.row); ++h) {
      for (auto w = first_w; w < g.w.end(o.column); ++w) {
        const Pack<T, N> candidate = at(h, w);
#pragma unroll
        for (int j = 0; j < N; ++j) {
          const float value = static_cast<float>(candidate.value[j]),
                      best = static_cast<float>(largest.value[j]);
          if (value > best || value != value) {  // of several NaN the last one, as in PyTorch
            largest.value[j] = candidate.value[j];
            index.value[j] = static_cast<std::int32_t>(h * g.w.in + w);
          }
        }
      }
    }
    store_pack<T, N>(y, i, largest);
    store_pack<std::int32_t, N>(indices, i, index);
  });
}

template <int N, typename T, typename Index>
__global__ void max_backward_kernel(const T* dy, const std::int32_t* indices, Strips<Index> strips,
                                    Geometry<Index> g, T* dx) {
  for_each_place<Index>(strips, [&](const Place<Index>& p, std::int64_t i) {
    const auto here = static_cast<std::int32_t>(p.row * g.w.in + p.column);
    float sums[N] = {};
    for (auto oh = g.h.first_window(p.row); oh < g.h.end_window(p.row); ++oh) {
      for (auto ow = g.w.first_window(p.column); ow < g.w.end_window(p.column); ++ow) {
        const std::int64_t o = p.in_plane(oh, ow, g.h.out, g.w.out, strips.packs);
        const Pack<std::int32_t, N> index = load_pack<std::int32_t, N>(indices, o);
        const Pack<T, N> part = load_pack<T, N>(dy, o);
#pragma unroll
        for (int j = 0; j < N; ++j) {
          if (index.value[j] == here) sums[j] += static_cast<float>(part.value[j]);
        }
      }
    }
    Pack<T, N> result;
#pragma unroll
    for (int j = 0; j < N; ++j) result.value[j] = T(sums[j]);
    store_pack<T, N>(dx, i, result);
  });
}

/// visitor.operator()<N, T, Index>(geometry, strips, grid) for input `in` and output `out` of a pooling, of
/// which `made` is the one that is written, `in` on the way back. indices: of a maximum, else null.
template <typename Visitor>
void visit_pool(const char* name, const TensorView& in, const TensorView& out, const TensorView& made,
                const PoolGeometry& pool, const void* indices, Visitor&& visitor) {
  std::int64_t largest = std::max(in.numel(), out.numel());
  for (const PoolWindows& w : {pool.h, pool.w}) {
    // What is computed along an axis stays below these.
    largest = std::max({largest, w.kernel + w.stride + w.in + 2 * w.padding, (w.in + 1) * (w.out + 1)});
  }
  const bool channels_last = is_channels_last(in) || is_channels_last(out);
  const Extents extents = extents_of(made, channels_last);
  // Backward, the rows of a window share its gradient.
  const bool overlap = pool.h.adaptive || pool.h.kernel > pool.h.stride, backward = made.data == in.data;
  const std::int64_t most_rows = overlap ? 8 : backward ? std::min<std::int64_t>(pool.h.kernel, 8) : 1;
  const auto with_packs = [&]<int N, typename T, typename Index>() {
    const Strips<Index> strips = strips_of<N, T, Index>(extents, most_rows);
    using Axis = functors::PoolAxis<typename Geometry<Index>::Position>;
    visitor.template operator()<N, T, Index>(
        Geometry<Index>{Axis(pool.h), Axis(pool.w), pool.count_include_pad}, strips,
        grid_for(strips.count, kBlock));
  };
  visit_float(name, in.dtype, [&]<typename T>() {
    constexpr int kPack = 16 / sizeof(T);
    const bool vector = extents.inner % kPack == 0 && in.strides[3] % kPack == 0 && is_aligned(in.data, 16) &&
                        is_aligned(out.data, 16) && is_aligned(indices, kPack * sizeof(std::int32_t));
    visit_index(largest, [&]<typename Index>() {
      if (vector) return with_packs.template operator()<kPack, T, Index>();
      with_packs.template operator()<1, T, Index>();
    });
  });
}

}  // namespace

void avg_pool2d_forward(const TensorView& x, const TensorView& y, const PoolGeometry& pool) {
  const char* name = "avg_pool2d_forward";
  visit_pool(name, x, y, y, pool, nullptr,
             [&]<int N, typename T, typename Index>(const Geometry<Index>& geometry,
                                                    const Strips<Index>& strips, unsigned grid) {
               launch(name, avg_forward_kernel<N, T, Index>, grid, kBlock, 0, this_stream(), x.as<const T>(),
                      strips, geometry, y.as<T>());
             });
}

void avg_pool2d_backward(const TensorView& dy, const TensorView& dx, const PoolGeometry& pool) {
  const char* name = "avg_pool2d_backward";
  visit_pool(name, dx, dy, dx, pool, nullptr,
             [&]<int N, typename T, typename Index>(const Geometry<Index>& geometry,
                                                    const Strips<Index>& strips, unsigned grid) {
               launch(name, avg_backward_kernel<N, T, Index>, grid, kBlock, 0, this_stream(),
                      dy.as<const T>(), strips, geometry, dx.as<T>());
             });
}

void max_pool2d_forward(const TensorView& x, const TensorView& y, const TensorView& indices,
                        const PoolGeometry& pool) {
  const char* name = "max_pool2d_forward";
  visit_pool(name, x, y, y, pool, indices.data,
             [&]<int N, typename T, typename Index>(const Geometry<Index>& geometry,
                                                    const Strips<Index>& strips, unsigned grid) {
               const auto x_packs = std::max(strips.packs, static_cast<Index>(x.strides[3] / N));
               launch(name, max_forward_kernel<N, T, Index>, grid, kBlock, 0, this_stream(), x.as<const T>(),
                      x_packs, strips, geometry, y.as<T>(), indices.as<std::int32_t>());
             });
}

void max_pool2d_backward(const TensorView& dy, const TensorView& indices, const TensorView& dx,
                         const PoolGeometry& pool) {
  const char* name = "max_pool2d_backward";
  visit_pool(name, dx, dy, dx, pool, indices.data,
             [&]<int N, typename T, typename Index>(const Geometry<Index>& geometry,
                                                    const Strips<Index>& strips, unsigned grid) {
               launch(name, max_backward_kernel<N, T, Index>, grid, kBlock, 0, this_stream(),
                      dy.as<const T>(), indices.as<const std::int32_t>(), strips, geometry, dx.as<T>());
             });
}

}  // namespace dlcuda::kernels::cuda

// Nearest and bilinear resizing, reflecting padding, of (N, C, H, W) in either format; f32, f16, bf16 with
// f32 arithmetic.
//
//   forward   y[r, k] = the one element that output (r, k) shows (nearest, reflect), or the sum over the two
//             rows and two columns that it is made of
//   backward  dx[i, j] = sum over the outputs that hold (i, j) of weight * dy
//
// functors/resample.h gives the places and weights of an axis. One thread an element of the output in the
// order of memory, or 16 bytes of channels in channels-last; the backward pass gathers, so nothing is added
// atomically. Outputs are overwritten; nothing is saved.
#include "dlcuda/kernels/resample.h"

#include "dlcuda/kernels/cuda/dtype.cuh"
#include "dlcuda/kernels/cuda/format.h"
#include "dlcuda/kernels/cuda/map.cuh"
#include "dlcuda/kernels/functors/resample.h"

namespace dlcuda::kernels::cuda {
namespace {

/// Pack i of a dense picture taken apart: (outer, H, W, packs); packs > 1 are channels in channels-last.
template <typename Place>
struct Pixel {
  Place outer, row, column, pack;
  __device__ Pixel(Place i, Place height, Place width, Place packs) {
    pack = i % packs;
    i /= packs;
    column = i % width;
    i /= width;
    row = i % height;
    outer = i / height;
  }
};

template <bool kBlends, int N, typename T, typename Place>
__global__ void forward_kernel(const T* x, functors::ResampleAxis<Place> down,
                               functors::ResampleAxis<Place> across, Place packs, std::int64_t count, T* y) {
  for (std::int64_t i = global_thread(); i < count; i += global_threads()) {
    const Pixel<Place> p(static_cast<Place>(i), down.out(), across.out(), packs);
    const functors::Taps<Place, float> v = down.template taps<float>(p.row),
                                       h = across.template taps<float>(p.column);
    const auto at = [&](Place row, Place column) {
      return load_pack<T, N>(x, ((p.outer * down.in() + row) * across.in() + column) * packs + p.pack);
    };
    Pack<T, N> result = at(v.first, h.first);
    if constexpr (kBlends) {
      const Pack<T, N> right = at(v.first, h.second), below = at(v.second, h.first),
                       beyond = at(v.second, h.second);
#pragma unroll
      for (int j = 0; j < N; ++j) {
        const float upper = (1.0f - h.share) * static_cast<float>(result.value[j]) +
                            h.share * static_cast<float>(right.value[j]);
        const float lower = (1.0f - h.share) * static_cast<float>(below.value[j]) +
                            h.share * static_cast<float>(beyond.value[j]);
        result.value[j] = T((1.0f - v.share) * upper + v.share * lower);
      }
    }
    store_pack<T, N>(y, i, result);
  }
}

template <int N, typename T, typename Place>
__global__ void backward_kernel(const T* dy, functors::ResampleAxis<Place> down,
                                functors::ResampleAxis<Place> across, Place packs, std::int64_t count,
                                T* dx) {
  for (std::int64_t i = global_thread(); i < count; i += global_threads()) {
    const Pixel<Place> p(static_cast<Place>(i), down.in(), across.in(), packs);
    const functors::Range<Place> rows = down.outputs_of(p.row), columns = across.outputs_of(p.column);
    float sum[N] = {};
    for (Place column = columns.begin; column < columns.end; ++column) {
      const float horizontal = across.template weight<float>(column, p.column);
      if (horizontal == 0.0f) continue;
      for (Place row = rows.begin; row < rows.end; ++row) {
        const float weight = horizontal * down.template weight<float>(row, p.row);
        if (weight == 0.0f) continue;
        const Pack<T, N> grad =
            load_pack<T, N>(dy, ((p.outer * down.out() + row) * across.out() + column) * packs + p.pack);
#pragma unroll
        for (int j = 0; j < N; ++j) sum[j] += weight * static_cast<float>(grad.value[j]);
      }
    }
    Pack<T, N> result;
#pragma unroll
    for (int j = 0; j < N; ++j) result.value[j] = T(sum[j]);
    store_pack<T, N>(dx, i, result);
  }
}

/// visitor.operator()<N, T, Place>(down, across, packs): N elements at a time where channels lie beside each
/// other and fill packs of 16 bytes.
template <typename Visitor>
void visit(const char* name, const TensorView& x, const TensorView& y, Resample mode,
           std::array<std::int64_t, 2> before, const Visitor& visitor) {
  // Where one of the two lies alike in both formats, the other one tells.
  const std::int64_t inner = is_channels_last(x) || is_channels_last(y) ? x.shape[1] : 1;
  const auto with_places = [&]<int N, typename T, typename Place>() {
    using Axis = functors::ResampleAxis<Place>;
    visitor.template operator()<N, T, Place>(Axis(mode, x.shape[2], y.shape[2], before[0]),
                                             Axis(mode, x.shape[3], y.shape[3], before[1]),
                                             static_cast<Place>(inner / N));
  };
  constexpr std::int64_t kSmall = std::int64_t{1} << 31;
  using Narrow = functors::ResampleAxis<std::int32_t>;
  const bool small = x.numel() < kSmall && y.numel() < kSmall && Narrow::fits(x.shape[2], y.shape[2]) &&
                     Narrow::fits(x.shape[3], y.shape[3]);
  visit_float(name, x.dtype, [&]<typename T>() {
    constexpr int kPack = 16 / sizeof(T);
    const bool vector = inner % kPack == 0 && is_aligned(x.data, 16) && is_aligned(y.data, 16);
    if (vector && small) return with_places.template operator()<kPack, T, std::int32_t>();
    if (vector) return with_places.template operator()<kPack, T, std::int64_t>();
    if (small) return with_places.template operator()<1, T, std::int32_t>();
    with_places.template operator()<1, T, std::int64_t>();
  });
}

}  // namespace

void resample_forward(const TensorView& x, const TensorView& y, Resample mode,
                      std::array<std::int64_t, 2> before) {
  visit("resample_forward", x, y, mode, before,
        [&]<int N, typename T, typename Place>(const functors::ResampleAxis<Place>& down,
                                               const functors::ResampleAxis<Place>& across, Place packs) {
          const bool blends = mode == Resample::Bilinear || mode == Resample::BilinearCorners;
          const auto kernel = blends ? forward_kernel<true, N, T, Place> : forward_kernel<false, N, T, Place>;
          const std::int64_t count = y.numel() / N;
          launch("resample_forward", kernel, grid_for(count, kBlock), kBlock, 0, this_stream(),
                 x.as<const T>(), down, across, packs, count, y.as<T>());
        });
}

void resample_backward(const TensorView& dy, const TensorView& dx, Resample mode,
                       std::array<std::int64_t, 2> before) {
  visit("resample_backward", dx, dy, mode, before,
        [&]<int N, typename T, typename Place>(const functors::ResampleAxis<Place>& down,
                                               const functors::ResampleAxis<Place>& across, Place packs) {
          const std::int64_t count = dx.numel() / N;
          launch("resample_backward", backward_kernel<N, T, Place>, grid_for(count, kBlock), kBlock, 0,
                 this_stream(), dy.as<const T>(), down, across, packs, count, dx.as<T>());
        });
}

}  // namespace dlcuda::kernels::cuda

// Nearest and bilinear resizing, reflecting padding, of (N, C, H, W) in either format; f32, f16, bf16 with
// f32 arithmetic.
//
//   forward   y[r, k] = the one element that output (r, k) shows (nearest, reflect), or the sum over the two
//             rows and two columns that it is made of
//   backward  dx[i, j] = sum over the outputs that hold (i, j) of weight * dy
//
// functors/resample.h gives the places and weights of an axis, strips.cuh the order of the outputs. The
// backward pass gathers, so nothing is added atomically. Outputs are overwritten; nothing is saved.
#include "dlcuda/kernels/resample.h"

#include "dlcuda/kernels/cuda/dtype.cuh"
#include "dlcuda/kernels/cuda/format.h"
#include "dlcuda/kernels/cuda/strips.cuh"
#include "dlcuda/kernels/functors/resample.h"

namespace dlcuda::kernels::cuda {
namespace {

template <bool kBlends, int N, typename T, typename Position>
__global__ void forward_kernel(const T* x, functors::ResampleAxis<Position> down,
                               functors::ResampleAxis<Position> across, Strips<Position> strips, T* y) {
  for_each_place<Position>(strips, [&](const Place<Position>& p, std::int64_t i) {
    const functors::Taps<Position, float> v = down.template taps<float>(p.row),
                                          h = across.template taps<float>(p.column);
    const auto at = [&](Position row, Position column) {
      return load_pack<T, N>(x, p.in_plane(row, column, down.in(), across.in(), strips.packs));
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
  });
}

template <int N, typename T, typename Position>
__global__ void backward_kernel(const T* dy, functors::ResampleAxis<Position> down,
                                functors::ResampleAxis<Position> across, Strips<Position> strips, T* dx) {
  for_each_place<Position>(strips, [&](const Place<Position>& p, std::int64_t i) {
    const functors::Range<Position> rows = down.outputs_of(p.row), columns = across.outputs_of(p.column);
    float sum[N] = {};
    for (Position column = columns.begin; column < columns.end; ++column) {
      const float horizontal = across.template weight<float>(column, p.column);
      if (horizontal == 0.0f) continue;
      for (Position row = rows.begin; row < rows.end; ++row) {
        const float weight = horizontal * down.template weight<float>(row, p.row);
        if (weight == 0.0f) continue;
        const Pack<T, N> grad =
            load_pack<T, N>(dy, p.in_plane(row, column, down.out(), across.out(), strips.packs));
#pragma unroll
        for (int j = 0; j < N; ++j) sum[j] += weight * static_cast<float>(grad.value[j]);
      }
    }
    Pack<T, N> result;
#pragma unroll
    for (int j = 0; j < N; ++j) result.value[j] = T(sum[j]);
    store_pack<T, N>(dx, i, result);
  });
}

/// Rows of a strip at most: an output of a blend reads the rows on both its sides, which its neighbours read,
/// too.
constexpr std::int64_t kMostRows = 16;

/// visitor.operator()<N, T, Position>(down, across, strips) with the strips of `made`, one of x and y: N
/// elements at a time where channels lie beside each other and fill packs of 16 bytes.
template <typename Visitor>
void visit(const char* name, const TensorView& x, const TensorView& y, const TensorView& made, Resample mode,
           std::array<std::int64_t, 2> before, const Visitor& visitor) {
  // Where one of the two lies alike in both formats, the other one tells.
  const Extents extents = extents_of(made, is_channels_last(x) || is_channels_last(y));
  const auto with_positions = [&]<int N, typename T, typename Position>() {
    using Axis = functors::ResampleAxis<Position>;
    visitor.template operator()<N, T, Position>(Axis(mode, x.shape[2], y.shape[2], before[0]),
                                                Axis(mode, x.shape[3], y.shape[3], before[1]),
                                                strips_of<N, T, Position>(extents, kMostRows));
  };
  constexpr std::int64_t kSmall = std::int64_t{1} << 31;
  using Narrow = functors::ResampleAxis<std::int32_t>;
  const bool small = x.numel() < kSmall && y.numel() < kSmall && Narrow::fits(x.shape[2], y.shape[2]) &&
                     Narrow::fits(x.shape[3], y.shape[3]);
  visit_float(name, x.dtype, [&]<typename T>() {
    constexpr int kPack = 16 / sizeof(T);
    const bool vector = extents.inner % kPack == 0 && is_aligned(x.data, 16) && is_aligned(y.data, 16);
    if (vector && small) return with_positions.template operator()<kPack, T, std::int32_t>();
    if (vector) return with_positions.template operator()<kPack, T, std::int64_t>();
    if (small) return with_positions.template operator()<1, T, std::int32_t>();
    with_positions.template operator()<1, T, std::int64_t>();
  });
}

}  // namespace

void resample_forward(const TensorView& x, const TensorView& y, Resample mode,
                      std::array<std::int64_t, 2> before) {
  const char* name = "resample_forward";
  const bool blends = mode == Resample::Bilinear || mode == Resample::BilinearCorners;
  visit(name, x, y, y, mode, before,
        [&]<int N, typename T, typename Position>(const auto& down, const auto& across,
                                                  const Strips<Position>& strips) {
          const auto kernel =
              blends ? forward_kernel<true, N, T, Position> : forward_kernel<false, N, T, Position>;
          launch(name, kernel, grid_for(strips.count, kBlock), kBlock, 0, this_stream(), x.as<const T>(),
                 down, across, strips, y.as<T>());
        });
}

void resample_backward(const TensorView& dy, const TensorView& dx, Resample mode,
                       std::array<std::int64_t, 2> before) {
  const char* name = "resample_backward";
  visit(name, dx, dy, dx, mode, before,
        [&]<int N, typename T, typename Position>(const auto& down, const auto& across,
                                                  const Strips<Position>& strips) {
          launch(name, backward_kernel<N, T, Position>, grid_for(strips.count, kBlock), kBlock, 0,
                 this_stream(), dy.as<const T>(), down, across, strips, dx.as<T>());
        });
}

}  // namespace dlcuda::kernels::cuda

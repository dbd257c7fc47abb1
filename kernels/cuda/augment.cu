// From stored 8-bit pictures to a model's input. x: u8 (N, C, H, W) in any dense layout; placements: i32
// (N, 8); levels: f32 (C, 256); y: f32, f16 or bf16 (N, C, H', W'), dense, in either memory format.
//
//   y[n, c, i, j] = levels[c, pixel], rounded; pixel: what placement n has at (i, j), see augment.h
//
// y is overwritten. A thread makes a pack of 16 bytes in the order of y, where samples are whole numbers of
// packs; bytes of x that neighbours share come from the L1. The levels of up to four channels are copied to
// shared memory first: lookups go to as many addresses as a warp has lanes.
#include "dlcuda/kernels/augment.h"

#include "dlcuda/kernels/cuda/dtype.cuh"
#include "dlcuda/kernels/cuda/map.cuh"
#include "dlcuda/kernels/functors/augment.h"
#include "dlcuda/kernels/functors/convert.h"

namespace dlcuda::kernels::cuda {
namespace {

constexpr int kSharedChannels = 4;
constexpr int kLevels = 256;

struct Pictures {
  std::int64_t channels, height, width;      // of y
  std::int64_t from_height, from_width;      // of x
  std::int64_t sample, channel, row, pixel;  // strides of x
};

/// A place in a sample of y, which goes through memory.
template <bool kChannelsLast>
struct Position {
  std::int64_t c, i, j;

  template <typename Index>
  __device__ static Position at(Index element, const Pictures& of) {
    const auto channels = static_cast<Index>(of.channels), height = static_cast<Index>(of.height),
               width = static_cast<Index>(of.width);
    if constexpr (kChannelsLast) {
      const Index pixel = element / channels;
      return {static_cast<std::int64_t>(element % channels), static_cast<std::int64_t>(pixel / width),
              static_cast<std::int64_t>(pixel % width)};
    } else {
      const Index row = element / width;
      return {static_cast<std::int64_t>(row / height), static_cast<std::int64_t>(row % height),
              static_cast<std::int64_t>(element % width)};
    }
  }
  __device__ void advance(const Pictures& of) {
    if constexpr (kChannelsLast) {
      if (++c < of.channels) return;
      c = 0;
      if (++j < of.width) return;
      j = 0;
      ++i;
    } else {
      if (++j < of.width) return;
      j = 0;
      if (++i < of.height) return;
      i = 0;
      ++c;
    }
  }
};

template <bool kChannelsLast, bool kShared, int kPack, typename Index, typename Out>
__global__ void augment_kernel(Pictures of, std::int64_t packs, const std::uint8_t* x,
                               const Placement* placements, const float* levels, Out* y) {
  __shared__ float block_levels[kShared ? kSharedChannels * kLevels : 1];
  const float* table = levels;
  if constexpr (kShared) {
    const int entries = static_cast<int>(of.channels) * kLevels;
    for (int i = threadIdx.x; i < entries; i += blockDim.x) block_levels[i] = levels[i];
    __syncthreads();
    table = block_levels;
  }
  const auto sample_packs = static_cast<Index>(of.channels * of.height * of.width / kPack);
  const auto threads = static_cast<Index>(global_threads());
  for (auto pack = static_cast<Index>(global_thread()); pack < static_cast<Index>(packs); pack += threads) {
    const auto n = static_cast<std::int64_t>(pack / sample_packs);
    auto at = Position<kChannelsLast>::at(static_cast<Index>(pack % sample_packs * kPack), of);
    const Placement p = functors::clipped(placements[n], of.from_height, of.from_width, of.height, of.width);
    Pack<Out, kPack> out;
#pragma unroll
    for (int k = 0; k < kPack; ++k) {
      int level = p.fill & (kLevels - 1);
      if (p.top <= at.i && at.i < p.bottom && p.left <= at.j && at.j < p.right) {
        const std::int64_t column = p.mirrored != 0 ? p.column - at.j : p.column + at.j;
        level = x[n * of.sample + at.c * of.channel + (at.i + p.row) * of.row + column * of.pixel];
      }
      out.value[k] = functors::convert<Out>(table[at.c * kLevels + level]);
      at.advance(of);
    }
    store_pack<Out, kPack>(y, static_cast<std::int64_t>(pack), out);
  }
}

template <bool kChannelsLast, bool kShared, typename Out>
void launch_augment(const Pictures& of, std::int64_t count, const TensorView& x, const TensorView& placements,
                    const TensorView& levels, const TensorView& y) {
  visit_index(count, [&]<typename Index>() {
    const auto run = [&]<int kPack>() {
      void (*const kernel)(Pictures, std::int64_t, const std::uint8_t*, const Placement*, const float*,
                           Out*) = augment_kernel<kChannelsLast, kShared, kPack, Index, Out>;
      launch("augment", kernel, grid_for(count / kPack, kBlock), kBlock, 0, this_stream(), of, count / kPack,
             x.as<const std::uint8_t>(), placements.as<const Placement>(), levels.as<const float>(),
             y.as<Out>());
    };
    constexpr int kMost = 16 / sizeof(Out);
    if (of.channels * of.height * of.width % kMost == 0 && is_aligned(y.data, 16)) {
      run.template operator()<kMost>();
    } else {
      run.template operator()<1>();
    }
  });
}

}  // namespace

void augment(const TensorView& x, const TensorView& placements, const TensorView& levels,
             const TensorView& y) {
  const Pictures of{y.shape[1],   y.shape[2],   y.shape[3],   x.shape[2],  x.shape[3],
                    x.strides[0], x.strides[1], x.strides[2], x.strides[3]};
  const std::int64_t count = y.numel();
  const bool last = y.strides[1] == 1 && of.channels > 1, shared = of.channels <= kSharedChannels;
  visit_float("augment", y.dtype, [&]<typename Out>() {
    if (last) {
      shared ? launch_augment<true, true, Out>(of, count, x, placements, levels, y)
             : launch_augment<true, false, Out>(of, count, x, placements, levels, y);
    } else {
      shared ? launch_augment<false, true, Out>(of, count, x, placements, levels, y)
             : launch_augment<false, false, Out>(of, count, x, placements, levels, y);
    }
  });
}

}  // namespace dlcuda::kernels::cuda

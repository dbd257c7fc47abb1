// How kernels with overlapping windows go through the pictures that they write, so that what several outputs
// read comes from memory once, and from the L1 after that.
//
// Both formats are (outer, H, W, inner) in memory: contiguous has outer = N C, inner = 1; channels-last has
// outer = N, inner = C. A thread makes several rows of a column, one after the other, of one pack of `inner`;
// the threads of a block take 128 bytes of `inner` and then many columns. So a block covers a square of
// pixels, and reads little more than what lies in it.
#pragma once

#include <type_traits>

#include "dlcuda/kernels/cuda/map.cuh"

namespace dlcuda::kernels::cuda {
namespace {

/// A picture's packs, N elements of `inner` each, in strips of `rows` rows. Packs go by `beside` at a time,
/// then comes the next column.
template <typename Index>
struct Strips {
  std::int64_t count;
  Index height, width, packs;
  Index rows, beside;
};

/// A pack of a picture.
template <typename Index>
struct Place {
  std::make_signed_t<Index> row, column;
  Index outer, pack;

  /// The pack at (row, column) of the same plane in a picture of this height and width.
  __device__ std::int64_t in_plane(Index r, Index c, Index height, Index width, Index packs) const {
    return ((static_cast<std::int64_t>(outer) * height + r) * width + c) * packs + pack;
  }
};

/// visit(place, number) for every pack.
template <typename Index, typename Visit>
__device__ __forceinline__ void for_each_place(const Strips<Index>& strips, const Visit& visit) {
  using Position = std::make_signed_t<Index>;
  const Index groups = (strips.height + strips.rows - 1) / strips.rows;
  for (std::int64_t item = global_thread(); item < strips.count; item += global_threads()) {
    Place<Index> place;
    auto i = static_cast<Index>(item);
    place.pack = i % strips.beside;
    i /= strips.beside;
    place.column = static_cast<Position>(i % strips.width);
    i /= strips.width;
    const Index chunks = strips.packs / strips.beside;
    place.pack += i % chunks * strips.beside;
    i /= chunks;
    const Index first = i % groups * strips.rows;
    place.outer = i / groups;
    for (Index row = first; row < first + strips.rows && row < strips.height; ++row) {
      place.row = static_cast<Position>(row);
      visit(place,
            place.in_plane(row, static_cast<Index>(place.column), strips.height, strips.width, strips.packs));
    }
  }
}

/// The extents of a dense picture in memory.
struct Extents {
  std::int64_t outer, height, width, inner;
};
inline Extents extents_of(const TensorView& x, bool channels_last) {
  const auto& shape = x.shape;
  return channels_last ? Extents{shape[0], shape[2], shape[3], shape[1]}
                       : Extents{shape[0] * shape[1], shape[2], shape[3], 1};
}

/// Its strips: of `most_rows` rows where that leaves every multiprocessor enough threads, else of a quarter.
/// most_rows 1: where windows share nothing.
template <int N, typename T, typename Index>
Strips<Index> strips_of(const Extents& made, std::int64_t most_rows) {
  constexpr std::int64_t kBeside = 128 / (N * sizeof(T)), kEnough = 1024;
  int multiprocessors = 0;
  DLCUDA_CUDA_CHECK(
      cudaDeviceGetAttribute(&multiprocessors, cudaDevAttrMultiProcessorCount, this_device().index));
  const std::int64_t packs = made.inner / N, columns = made.outer * made.width * packs;
  const bool enough = columns * made.height / most_rows >= kEnough * multiprocessors;
  const std::int64_t rows = enough ? most_rows : (most_rows + 3) / 4;
  return {.count = columns * ((made.height + rows - 1) / rows),
          .height = static_cast<Index>(made.height),
          .width = static_cast<Index>(made.width),
          .packs = static_cast<Index>(packs),
          .rows = static_cast<Index>(rows),
          .beside = static_cast<Index>(packs % kBeside == 0 ? kBeside : packs)};
}

}  // namespace
}  // namespace dlcuda::kernels::cuda

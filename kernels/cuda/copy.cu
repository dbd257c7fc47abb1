// Copies between any strides and any dtypes: to[n, c, ...] = from[n, c, ...], converted as functors/convert.h
// says.
//
// Axes that lie the same way in both tensors are merged first (walk.h). What is left is one of
//   a map            both run through memory in the same order, without gaps: 16-byte accesses, any dtypes
//   a transposition  the fastest axis of one is not that of the other (NCHW <-> NHWC): 32 x 32 tiles in
//                    shared memory, whatever axes there are beside the two
//   anything else    one thread an element in the order of `to`, or as many neighbours as 16 bytes hold
// The last two move bytes and know element sizes only; where the dtype changes as well, the map converts into
// a temporary tensor first. `to` is overwritten and must not overlap `from`, whose strides may be negative or
// 0.
#include "dlcuda/kernels/copy.h"

#include "dlcuda/kernels/cuda/dtype.cuh"
#include "dlcuda/kernels/cuda/map.cuh"
#include "dlcuda/kernels/functors/convert.h"
#include "dlcuda/kernels/walk.h"

namespace dlcuda::kernels::cuda {
namespace {

/// The axes of a copy; its views:
using CopyWalk = Walk<2>;
enum { kTo, kFrom };

template <typename To, typename From>
struct Convert {
  __device__ To operator()(compute_t<From> value) const { return functors::convert<To>(value); }
};

/// Where the i-th element of the walk's first `rank` axes lies in both tensors.
template <typename Index>
__device__ __forceinline__ void locate(const CopyWalk& walk, int rank, Index i, std::int64_t& from,
                                       std::int64_t& to) {
  from = to = 0;
#pragma unroll
  for (int axis = kMaxRank - 1; axis >= 0; --axis) {
    if (axis >= rank) continue;
    const auto extent = static_cast<Index>(walk.extent[axis]);
    const auto position = static_cast<std::int64_t>(i % extent);
    i /= extent;
    from += position * walk.stride[kFrom][axis];
    to += position * walk.stride[kTo][axis];
  }
}

template <typename T, typename Index>
__global__ void strided_kernel(const T* from, T* to, CopyWalk walk) {
  const auto threads = static_cast<Index>(global_threads()), count = static_cast<Index>(walk.count);
  for (auto i = static_cast<Index>(global_thread()); i < count; i += threads) {
    std::int64_t source, target;
    locate(walk, walk.rank, i, source, target);
    to[target] = from[source];
  }
}

constexpr int kTile = 32, kTileRows = 8;

/// A batch of matrices (rows, columns): `from` runs along rows, `to` along columns, each with stride 1.
struct Transposition {
  CopyWalk batch;  ///< the other axes; count: how many matrices
  std::int64_t rows, columns, from_column, to_row;
};

template <typename T>
__global__ void transpose_kernel(const T* from, T* to, Transposition t) {
  __shared__ T tile[kTile][kTile + 1];  // one more column: neighbours down a column lie in different banks
  const std::int64_t tiles_down = (t.rows + kTile - 1) / kTile,
                     tiles_across = (t.columns + kTile - 1) / kTile;
  for (std::int64_t i = blockIdx.x; i < t.batch.count * tiles_down * tiles_across; i += gridDim.x) {
    std::int64_t source, target;
    locate(t.batch, t.batch.rank, i / tiles_down / tiles_across, source, target);
    const std::int64_t row = i % tiles_down * kTile, column = i / tiles_down % tiles_across * kTile;
    const int lane = threadIdx.x, line = threadIdx.y;
    for (int j = line; j < kTile; j += kTileRows) {
      if (row + lane < t.rows && column + j < t.columns) {
        tile[j][lane] = from[source + (column + j) * t.from_column + row + lane];
      }
    }
    __syncthreads();
    for (int j = line; j < kTile; j += kTileRows) {
      if (row + j < t.rows && column + lane < t.columns) {
        to[target + (row + j) * t.to_row + column + lane] = tile[lane][j];
      }
    }
    __syncthreads();  // the tile is read before the next one is written
  }
}

/// Whether the fastest axis of `to` and another one, the fastest of `from`, make a transposition.
bool as_transposition(const CopyWalk& walk, Transposition& t) {
  // Three channels would leave most of a tile empty; caches serve such copies as well.
  constexpr std::int64_t kThin = 8;
  const int columns = walk.rank - 1;
  if (walk.rank < 2 || walk.stride[kTo][columns] != 1 || walk.extent[columns] < kThin) return false;
  for (int rows = 0; rows < columns; ++rows) {
    if (walk.stride[kFrom][rows] != 1 || walk.extent[rows] < kThin) continue;
    t = {{}, walk.extent[rows], walk.extent[columns], walk.stride[kFrom][columns], walk.stride[kTo][rows]};
    t.batch.count = walk.count / t.rows / t.columns;
    for (int axis = 0; axis < columns; ++axis) {
      if (axis == rows) continue;
      const int place = t.batch.rank++;
      t.batch.extent[place] = walk.extent[axis];
      t.batch.stride[kFrom][place] = walk.stride[kFrom][axis];
      t.batch.stride[kTo][place] = walk.stride[kTo][axis];
    }
    return true;
  }
  return false;
}

/// How many neighbours, 1 to 16 bytes of them, can be moved as one element.
std::int64_t neighbours(const CopyWalk& walk, const TensorView& from, const TensorView& to) {
  const int inner = walk.rank - 1;
  if (walk.stride[kFrom][inner] != 1 || walk.stride[kTo][inner] != 1) return 1;
  const auto size = static_cast<std::int64_t>(size_of(to.dtype));
  for (std::int64_t together = 16 / size; together > 1; together /= 2) {
    const auto bytes = static_cast<std::size_t>(together * size);
    bool fits =
        walk.extent[inner] % together == 0 && is_aligned(from.data, bytes) && is_aligned(to.data, bytes);
    for (int axis = 0; axis < inner; ++axis) {
      fits = fits && walk.stride[kFrom][axis] % together == 0 && walk.stride[kTo][axis] % together == 0;
    }
    if (fits) return together;
  }
  return 1;
}

/// The walk whose elements are `together` neighbours.
CopyWalk widened(CopyWalk walk, std::int64_t together) {
  walk.count /= together;
  walk.extent[walk.rank - 1] /= together;
  for (int axis = 0; axis < walk.rank - 1; ++axis) {
    walk.stride[kFrom][axis] /= together;
    walk.stride[kTo][axis] /= together;
  }
  return walk;
}

/// An integer of so many bytes: what the kernels that do not compute move.
template <typename Visitor>
void visit_size(std::size_t bytes, Visitor&& visitor) {
  switch (bytes) {
    case 1:
      return visitor.template operator()<std::uint8_t>();
    case 2:
      return visitor.template operator()<std::uint16_t>();
    case 4:
      return visitor.template operator()<std::uint32_t>();
    case 8:
      return visitor.template operator()<std::uint64_t>();
    default:
      return visitor.template operator()<Pack<std::uint64_t, 2>>();
  }
}

void move_elements(const TensorView& from, const TensorView& to, const CopyWalk& narrow) {
  if (Transposition t; as_transposition(narrow, t)) {
    visit_size(size_of(to.dtype), [&]<typename T>() {
      const std::int64_t tiles =
          t.batch.count * ((t.rows + kTile - 1) / kTile) * ((t.columns + kTile - 1) / kTile);
      launch("copy", transpose_kernel<T>, grid_for(tiles, 1), dim3(kTile, kTileRows), 0, this_stream(),
             from.as<const T>(), to.as<T>(), t);
    });
    return;
  }
  const std::int64_t together = neighbours(narrow, from, to);
  const CopyWalk walk = widened(narrow, together);
  visit_size(size_of(to.dtype) * static_cast<std::size_t>(together), [&]<typename T>() {
    visit_index(walk.count, [&]<typename Index>() {
      launch("copy", strided_kernel<T, Index>, grid_for(walk.count, kBlock), kBlock, 0, this_stream(),
             from.as<const T>(), to.as<T>(), walk);
    });
  });
}

void convert_elements(const TensorView& from, const TensorView& to, std::int64_t count) {
  visit_any(from.dtype, [&]<typename From>() {
    visit_any(to.dtype, [&]<typename To>() {
      map("copy", Convert<To, From>{}, count, to.as<To>(), from.as<const From>());
    });
  });
}

}  // namespace

void copy(const TensorView& from, const TensorView& to) {
  const CopyWalk walk = walk_of({&to, &from});
  if (walk.count == 0) return;
  if (walk.is_flat()) return convert_elements(from, to, walk.count);
  if (from.dtype == to.dtype) return move_elements(from, to, walk);
  // Through contiguous memory: elements are gathered, converted and spread again where that is needed.
  TensorView gathered = to;
  std::int64_t stride = 1;
  for (int axis = to.rank - 1; axis >= 0; --axis) {
    gathered.strides[axis] = stride;
    stride *= to.shape[axis];
  }
  gathered.dtype = from.dtype;
  const Tensor source = Tensor::empty({walk.count}, from.dtype, this_device());
  gathered.data = source.data();
  copy(from, gathered);
  TensorView converted = gathered;
  converted.dtype = to.dtype;
  const Tensor target = Tensor::empty({walk.count}, to.dtype, this_device());
  converted.data = target.data();
  copy(gathered, converted);
  copy(converted, to);
}

}  // namespace dlcuda::kernels::cuda

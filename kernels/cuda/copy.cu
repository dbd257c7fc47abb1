// Copies between any strides and any dtypes: to[n, c, ...] = from[n, c, ...], converted as functors/convert.h
// says.
//
// Axes that lie the same way in both tensors are merged first. What is left is one of
//   a map             both run through memory in the same order, without gaps: 16-byte accesses, any dtypes
//   a transposition   the fastest axis of one is not that of the other (NCHW <-> NHWC): 32 x 32 tiles in
//   shared memory anything else     one thread an element, in the order of `to`
// The last two move bytes and know element sizes only; where the dtype changes as well, the map converts into
// a temporary tensor first. `to` is overwritten and must not overlap `from`.
#include "dlcuda/kernels/copy.h"

#include "dlcuda/kernels/cuda/dtype.cuh"
#include "dlcuda/kernels/cuda/map.cuh"
#include "dlcuda/kernels/functors/convert.h"

namespace dlcuda::kernels::cuda {
namespace {

/// Axes from the slowest to the fastest of `to`.
struct Layout {
  int rank = 0;
  std::int64_t shape[kMaxRank] = {}, from[kMaxRank] = {}, to[kMaxRank] = {};
  std::int64_t count = 1;
};

/// The axes of a copy without those of extent 1, sorted by `to`'s strides, neighbours merged where both
/// tensors allow it. A contiguous copy is one axis with strides 1.
Layout merged_layout(const TensorView& from, const TensorView& to) {
  Layout sorted;
  for (int axis = 0; axis < to.rank; ++axis) {
    sorted.count *= to.shape[axis];
    if (to.shape[axis] == 1) continue;
    int place = sorted.rank++;
    for (; place > 0 && sorted.to[place - 1] < to.strides[axis]; --place) {
      sorted.shape[place] = sorted.shape[place - 1];
      sorted.from[place] = sorted.from[place - 1];
      sorted.to[place] = sorted.to[place - 1];
    }
    sorted.shape[place] = to.shape[axis];
    sorted.from[place] = from.strides[axis];
    sorted.to[place] = to.strides[axis];
  }
  Layout merged;
  merged.count = sorted.count;
  for (int axis = 0; axis < sorted.rank; ++axis) {
    const int last = merged.rank - 1;
    const bool joins = last >= 0 && merged.from[last] == sorted.from[axis] * sorted.shape[axis] &&
                       merged.to[last] == sorted.to[axis] * sorted.shape[axis];
    const int place = joins ? last : merged.rank++;
    merged.shape[place] = (joins ? merged.shape[last] : 1) * sorted.shape[axis];
    merged.from[place] = sorted.from[axis];
    merged.to[place] = sorted.to[axis];
  }
  return merged;
}

template <typename To, typename From>
struct Convert {
  __device__ To operator()(compute_t<From> value) const { return functors::convert<To>(value); }
};

template <typename T, typename Index>
__global__ void strided_kernel(const T* from, T* to, Layout layout) {
  const auto threads = static_cast<Index>(global_threads()), count = static_cast<Index>(layout.count);
  for (auto i = static_cast<Index>(global_thread()); i < count; i += threads) {
    Index rest = i;
    std::int64_t source = 0, target = 0;
#pragma unroll
    for (int axis = kMaxRank - 1; axis >= 0; --axis) {
      if (axis >= layout.rank) continue;
      const auto extent = static_cast<Index>(layout.shape[axis]);
      const auto position = static_cast<std::int64_t>(rest % extent);
      rest /= extent;
      source += position * layout.from[axis];
      target += position * layout.to[axis];
    }
    to[target] = from[source];
  }
}

constexpr int kTile = 32, kTileRows = 8;

/// A batch of matrices (rows, columns): `from` runs along rows, `to` along columns, each with stride 1.
struct Transposition {
  std::int64_t batch, rows, columns;
  std::int64_t from_batch, from_column, to_batch, to_row;
};

template <typename T>
__global__ void transpose_kernel(const T* from, T* to, Transposition t) {
  __shared__ T tile[kTile][kTile + 1];  // one more column: neighbours down a column lie in different banks
  const std::int64_t tiles_down = (t.rows + kTile - 1) / kTile,
                     tiles_across = (t.columns + kTile - 1) / kTile;
  for (std::int64_t i = blockIdx.x; i < t.batch * tiles_down * tiles_across; i += gridDim.x) {
    const std::int64_t batch = i / tiles_down / tiles_across;
    const std::int64_t row = i % tiles_down * kTile, column = i / tiles_down % tiles_across * kTile;
    const int lane = threadIdx.x, line = threadIdx.y;
    for (int j = line; j < kTile; j += kTileRows) {
      if (row + lane < t.rows && column + j < t.columns) {
        tile[j][lane] = from[batch * t.from_batch + (column + j) * t.from_column + row + lane];
      }
    }
    __syncthreads();
    for (int j = line; j < kTile; j += kTileRows) {
      if (row + j < t.rows && column + lane < t.columns) {
        to[batch * t.to_batch + (row + j) * t.to_row + column + lane] = tile[lane][j];
      }
    }
    __syncthreads();  // the tile is read before the next one is written
  }
}

/// Whether the merged axes are ([batch,] rows, columns) of a transposition.
bool as_transposition(const Layout& layout, Transposition& t) {
  const int rows = layout.rank - 2, columns = layout.rank - 1;
  if (layout.rank < 2 || layout.rank > 3 || layout.to[columns] != 1) return false;
  // Three channels would leave most of a tile empty; caches serve such copies as well.
  constexpr std::int64_t kThin = 8;
  if (layout.shape[rows] < kThin || layout.shape[columns] < kThin) return false;
  const bool batched = layout.rank == 3;
  if (layout.from[rows] == 1) {
    t = {batched ? layout.shape[0] : 1,
         layout.shape[rows],
         layout.shape[columns],
         batched ? layout.from[0] : 0,
         layout.from[columns],
         batched ? layout.to[0] : 0,
         layout.to[rows]};
    return true;
  }
  if (batched && layout.from[0] == 1) {  // the slowest of `to` is the fastest of `from`
    t = {layout.shape[1], layout.shape[0], layout.shape[2], layout.from[1],
         layout.from[2],  layout.to[1],    layout.to[0]};
    return true;
  }
  return false;
}

/// An integer of the size of an element: what the kernels that do not compute move.
template <typename Visitor>
void visit_size(DType dtype, Visitor&& visitor) {
  switch (size_of(dtype)) {
    case 1:
      return visitor.template operator()<std::uint8_t>();
    case 2:
      return visitor.template operator()<std::uint16_t>();
    case 4:
      return visitor.template operator()<std::uint32_t>();
    default:
      return visitor.template operator()<std::uint64_t>();
  }
}

void move_elements(const TensorView& from, const TensorView& to, const Layout& layout) {
  visit_size(to.dtype, [&]<typename T>() {
    if (Transposition t; as_transposition(layout, t)) {
      const std::int64_t tiles = t.batch * ((t.rows + kTile - 1) / kTile) * ((t.columns + kTile - 1) / kTile);
      launch("copy", transpose_kernel<T>, grid_for(tiles, 1), dim3(kTile, kTileRows), 0, this_stream(),
             from.as<const T>(), to.as<T>(), t);
      return;
    }
    visit_index(layout.count, [&]<typename Index>() {
      launch("copy", strided_kernel<T, Index>, grid_for(layout.count, kBlock), kBlock, 0, this_stream(),
             from.as<const T>(), to.as<T>(), layout);
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
  const Layout layout = merged_layout(from, to);
  if (layout.count == 0) return;
  const bool same_order = layout.rank == 0 || (layout.rank == 1 && layout.from[0] == 1 && layout.to[0] == 1);
  if (same_order) return convert_elements(from, to, layout.count);
  if (from.dtype == to.dtype) return move_elements(from, to, layout);
  // Through contiguous memory: elements are gathered, converted and spread again where that is needed.
  TensorView gathered = to;
  std::int64_t stride = 1;
  for (int axis = to.rank - 1; axis >= 0; --axis) {
    gathered.strides[axis] = stride;
    stride *= to.shape[axis];
  }
  gathered.dtype = from.dtype;
  const Tensor source = Tensor::empty({layout.count}, from.dtype, this_device());
  gathered.data = source.data();
  copy(from, gathered);
  TensorView converted = gathered;
  converted.dtype = to.dtype;
  const Tensor target = Tensor::empty({layout.count}, to.dtype, this_device());
  converted.data = target.data();
  copy(gathered, converted);
  copy(converted, to);
}

}  // namespace dlcuda::kernels::cuda

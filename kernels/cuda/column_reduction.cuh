// Reduces the rows of (batch, rows, columns) to one, where neighbouring columns lie beside each other in
// memory: one launch where there are few rows, else two, in an order that depends on the sizes alone.
//
// A block takes a strip of rows and a tile of columns. Its threads stand in lines of `across` threads, side
// by side on the columns, each on N of them; a thread takes every `down`-th row of the strip, and then the
// lines are merged in shared memory. The strips' results are reduced in the same way by the second launch.
//
// What is reduced, and how, says a Source:
//
//   Merging                 State and how two of them become one, apart from what is read
//     State                 plain; State{} is what no rows at all reduce to
//     merge(into, other)    static
//   kPack                   columns that a thread may take at once, where `aligned` says so
//   kAtOnce                 rows that a thread has on their way from memory at once
//   prepare<N>(column)      what columns [column, column + N) share in all rows
//   add<N>(shared, batch, row, step, count, column, states)
//                           merges rows row, row + step, ..., `count` <= kAtOnce of them, into states[N]
//
// and what becomes of a column's State says finish(batch, column, state).
#pragma once

#include "dlcuda/kernels/cuda/map.cuh"

namespace dlcuda::kernels::cuda {
namespace {

/// Rows that a thread should have to itself.
constexpr int kFewestRows = 16;

/// How the work is cut. The second launch has a single strip.
struct ColumnTiling {
  int across;  ///< threads side by side, a power of two; kBlock / across stand below each other
  std::int64_t batch, rows, columns, tiles, strips, strip_rows;

  ColumnTiling(std::int64_t batch_, std::int64_t rows_, std::int64_t columns_, int pack, bool one_strip)
      : across(1), batch(batch_), rows(rows_), columns(columns_) {
    // A line of packs reads 128 bytes.
    const int most = pack > 1 ? 8 : kWarp;
    while (across < most && std::int64_t{across} * pack < columns) across *= 2;
    const std::int64_t tile = std::int64_t{across} * pack;
    tiles = (columns + tile - 1) / tile;
    // Few enough for the second launch to be short, and short enough to fill a device.
    const std::int64_t shortest = std::int64_t{kBlock / across} * kFewestRows;
    const std::int64_t most_strips = std::clamp<std::int64_t>(4096 / (batch * tiles), 1, 512);
    strips = one_strip ? 1 : std::clamp<std::int64_t>((rows + shortest - 1) / shortest, 1, most_strips);
    strip_rows = std::max<std::int64_t>(1, (rows + strips - 1) / strips);
    strips = std::max<std::int64_t>(1, (rows + strip_rows - 1) / strip_rows);
  }
};

template <int N, typename Source, typename Finish>
__global__ void __launch_bounds__(kBlock, 2)
    reduce_columns_kernel(Source source, ColumnTiling t, Finish finish) {
  using State = typename Source::Merging::State;
  __shared__ __align__(16) unsigned char room[kBlock / 2 * N * sizeof(State)];
  auto* const others = reinterpret_cast<State*>(room);
  const int line = threadIdx.x / t.across, place = threadIdx.x % t.across, down = kBlock / t.across;
  for (std::int64_t item = blockIdx.x; item < t.batch * t.strips * t.tiles; item += gridDim.x) {
    const std::int64_t strip = item / t.tiles % t.strips, batch = item / t.tiles / t.strips;
    const std::int64_t column = (item % t.tiles * t.across + place) * N;
    const std::int64_t begin = strip * t.strip_rows;
    const std::int64_t end = t.rows - begin > t.strip_rows ? begin + t.strip_rows : t.rows;
    State states[N]{};
    if (column < t.columns) {
      const auto shared = source.template prepare<N>(column);
      for (std::int64_t row = begin + line; row < end; row += std::int64_t{down} * Source::kAtOnce) {
        const std::int64_t left = (end - row + down - 1) / down;
        source.template add<N>(shared, batch, row, down,
                               left < Source::kAtOnce ? static_cast<int>(left) : Source::kAtOnce, column,
                               states);
      }
    }
    for (int lines = down / 2; lines > 0; lines /= 2) {
      State* const other = others + ((line % lines) * t.across + place) * N;
      if (line >= lines && line < 2 * lines) {
#pragma unroll
        for (int j = 0; j < N; ++j) other[j] = states[j];
      }
      __syncthreads();
      if (line < lines) {
#pragma unroll
        for (int j = 0; j < N; ++j) Source::Merging::merge(states[j], other[j]);
      }
      __syncthreads();
    }
    if (line == 0 && column < t.columns) {
#pragma unroll
      for (int j = 0; j < N; ++j) finish(batch * t.strips + strip, column + j, states[j]);
    }
  }
}

/// The finish of a first launch: keeps the strips' states, (batch * strips, columns).
template <typename State>
struct KeepStates {
  State* states;
  std::int64_t columns;
  __device__ void operator()(std::int64_t row, std::int64_t column, const State& state) const {
    states[row * columns + column] = state;
  }
};

/// States (batch, rows, columns), to be merged.
template <typename Merges>
struct States {
  using Merging = Merges;
  using State = typename Merging::State;
  static constexpr int kPack = 1, kAtOnce = 8;
  const State* states;
  std::int64_t rows, columns;

  template <int N>
  __device__ int prepare(std::int64_t) const {
    return 0;
  }
  template <int N>
  __device__ void add(int, std::int64_t batch, std::int64_t row, int step, int count, std::int64_t column,
                      State (&into)[N]) const {
    State read[kAtOnce]{};
#pragma unroll
    for (int j = 0; j < kAtOnce; ++j) {
      if (j < count) read[j] = states[(batch * rows + row + std::int64_t{j} * step) * columns + column];
    }
#pragma unroll
    for (int j = 0; j < kAtOnce; ++j) {
      if (j < count) Merging::merge(into[0], read[j]);
    }
  }
};

/// Room for states, as bytes.
template <typename State>
Tensor room_for(std::int64_t rows, std::int64_t columns) {
  return Tensor::empty({rows, columns, static_cast<std::int64_t>(sizeof(State))}, DType::U8, this_device());
}
template <typename State>
State* states_in(const Tensor& room) {
  return static_cast<State*>(room.raw().data);
}

template <int N, typename Source, typename Finish>
void launch_columns(const char* name, const Source& source, const ColumnTiling& tiling,
                    const Finish& finish) {
  launch(name, reduce_columns_kernel<N, Source, Finish>,
         grid_for(tiling.batch * tiling.strips * tiling.tiles, 1), kBlock, 0, this_stream(), source, tiling,
         finish);
}

template <int N, typename Source, typename Finish>
void reduce_columns_by(const char* name, const Source& source, std::int64_t batch, std::int64_t rows,
                       std::int64_t columns, const Finish& finish) {
  using Merging = typename Source::Merging;
  using State = typename Merging::State;
  const ColumnTiling tiling(batch, rows, columns, N, false);
  if (tiling.strips == 1) return launch_columns<N>(name, source, tiling, finish);
  const Tensor room = room_for<State>(batch * tiling.strips, columns);
  launch_columns<N>(name, source, tiling, KeepStates<State>{states_in<State>(room), columns});
  launch_columns<1>(name, States<Merging>{states_in<State>(room), tiling.strips, columns},
                    ColumnTiling(batch, tiling.strips, columns, 1, true), finish);
}

/// finish(batch, column, state) for every column of every batch, with the state of all its rows. aligned:
/// whether what the source reads may be read in packs of Source::kPack columns, if those divide the columns.
template <typename Source, typename Finish>
void reduce_columns(const char* name, const Source& source, std::int64_t batch, std::int64_t rows,
                    std::int64_t columns, bool aligned, const Finish& finish) {
  if (batch == 0 || columns == 0) return;
  if constexpr (Source::kPack > 1) {
    if (aligned && columns % Source::kPack == 0) {
      return reduce_columns_by<Source::kPack>(name, source, batch, rows, columns, finish);
    }
  }
  reduce_columns_by<1>(name, source, batch, rows, columns, finish);
}

}  // namespace
}  // namespace dlcuda::kernels::cuda

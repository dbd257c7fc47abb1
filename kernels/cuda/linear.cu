// Small linear layers, each pass in one launch. x (N, I), weight (O, I), bias (O), y (N, O); f32, f16, bf16,
// contiguous; products, sums and activations in f32.
//
//   forward   y = f(x weight^T + bias)
//   backward  g = dy f'(y); dx = g weight; dweight = g^T x; dbias = the sum of g's rows
//
// Outputs are overwritten; the backward pass saves x, weight and y. Every result is cut into tiles of 16 x
// 16, a block's work, one thread an element; the tiles of dx and dweight share a launch, and those of dweight
// that hold its first columns add up dbias on the way. g is computed where it is read. Factors go through
// shared memory, and the next ones are on their way from memory while a chunk is multiplied. One thread adds
// up an element's products in their order: the same bits every run.
#include "dlcuda/kernels/linear.h"

#include "dlcuda/kernels/cuda/dtype.cuh"
#include "dlcuda/kernels/cuda/launch.cuh"
#include "dlcuda/kernels/functors/activation.h"

namespace dlcuda::kernels::cuda {
namespace {

constexpr int kTile = 16;
static_assert(kTile * kTile == kBlock);
constexpr int kChunk = 64;                       // terms of the sums that are in shared memory at once
constexpr int kLoads = kTile * kChunk / kBlock;  // of a thread, for each factor

// Factors of the sums: at(i, k) belongs to row (or column) i of the result and term k. kAlongTerms:
// neighbouring terms lie beside each other in memory.
template <typename T>
struct Rows {
  static constexpr bool kAlongTerms = true;
  const T* x;
  std::int64_t pitch;
  __device__ float at(std::int64_t i, std::int64_t k) const { return static_cast<float>(x[i * pitch + k]); }
};
template <typename T>
struct Columns {
  static constexpr bool kAlongTerms = false;
  const T* x;
  std::int64_t pitch;
  __device__ float at(std::int64_t i, std::int64_t k) const { return static_cast<float>(x[k * pitch + i]); }
};

/// g, by its rows or its columns. y: null for the identity.
template <typename T, typename F>
struct Slope {
  F f;
  const T *dy, *y;
  __device__ float operator()(std::int64_t i) const {
    return f.backward(static_cast<float>(dy[i]), y != nullptr ? static_cast<float>(y[i]) : 0.0f);
  }
};
template <typename T, typename F>
struct SlopeRows {
  static constexpr bool kAlongTerms = true;
  Slope<T, F> slope;
  std::int64_t pitch;
  __device__ float at(std::int64_t i, std::int64_t k) const { return slope(i * pitch + k); }
};
template <typename T, typename F>
struct SlopeColumns {
  static constexpr bool kAlongTerms = false;
  Slope<T, F> slope;
  std::int64_t pitch;
  __device__ float at(std::int64_t i, std::int64_t k) const { return slope(k * pitch + i); }
};

/// Where a thread's j-th load of a chunk lies: neighbouring threads read what lies beside each other.
template <bool kAlongTerms>
__device__ __forceinline__ int line_of(int j) {
  const int e = static_cast<int>(threadIdx.x) + j * kBlock;
  return kAlongTerms ? e / kChunk : e % kTile;
}
template <bool kAlongTerms>
__device__ __forceinline__ int term_of(int j) {
  const int e = static_cast<int>(threadIdx.x) + j * kBlock;
  return kAlongTerms ? e % kChunk : e / kTile;
}

/// One factor of a chunk: from memory into registers, and from there into shared memory. 0 beyond the ends.
template <typename Factor>
__device__ __forceinline__ void fetch(const Factor& factor, std::int64_t first, std::int64_t lines,
                                      std::int64_t term, std::int64_t terms, float (&values)[kLoads]) {
#pragma unroll
  for (int j = 0; j < kLoads; ++j) {
    const std::int64_t i = first + line_of<Factor::kAlongTerms>(j),
                       k = term + term_of<Factor::kAlongTerms>(j);
    values[j] = i < lines && k < terms ? factor.at(i, k) : 0.0f;
  }
}
template <typename Factor>
__device__ __forceinline__ void keep(const float (&values)[kLoads], float (*shared)[kTile + 1]) {
#pragma unroll
  for (int j = 0; j < kLoads; ++j) {
    shared[term_of<Factor::kAlongTerms>(j)][line_of<Factor::kAlongTerms>(j)] = values[j];
  }
}

/// A result (rows, columns) whose elements are sums of `terms` products.
struct Extents {
  std::int64_t rows, columns, terms;
  DLCUDA_HD std::int64_t tiles_across() const { return (columns + kTile - 1) / kTile; }
  DLCUDA_HD std::int64_t tiles() const { return (rows + kTile - 1) / kTile * tiles_across(); }
};

/// This thread's element of a tile, and the sum of its row's left factors. All threads of the block call it.
struct Element {
  std::int64_t row, column;
  float sum, row_sum;
};
template <typename Left, typename Right>
__device__ __forceinline__ Element tile_element(const Left& left, const Right& right, const Extents& e,
                                                std::int64_t tile) {
  __shared__ float lefts[kChunk][kTile + 1], rights[kChunk][kTile + 1];
  const std::int64_t across = e.tiles_across() > 0 ? e.tiles_across() : 1;
  const std::int64_t first_row = tile / across * kTile, first_column = tile % across * kTile;
  const int row = static_cast<int>(threadIdx.x) / kTile, column = static_cast<int>(threadIdx.x) % kTile;
  float a[kLoads], b[kLoads], sum = 0.0f, row_sum = 0.0f;
  fetch(left, first_row, e.rows, 0, e.terms, a);
  fetch(right, first_column, e.columns, 0, e.terms, b);
  for (std::int64_t term = 0; term < e.terms; term += kChunk) {
    __syncthreads();  // the chunk before has been read
    keep<Left>(a, lefts);
    keep<Right>(b, rights);
    __syncthreads();
    if (term + kChunk < e.terms) {
      fetch(left, first_row, e.rows, term + kChunk, e.terms, a);
      fetch(right, first_column, e.columns, term + kChunk, e.terms, b);
    }
#pragma unroll 16
    for (int k = 0; k < kChunk; ++k) {
      sum += lefts[k][row] * rights[k][column];
      row_sum += lefts[k][row];
    }
  }
  return {first_row + row, first_column + column, sum, row_sum};
}

template <typename T, typename F>
__global__ void __launch_bounds__(kBlock)
    forward_kernel(Rows<T> x, Rows<T> weight, const T* bias, Extents e, F f, T* y) {
  for (std::int64_t tile = blockIdx.x; tile < e.tiles(); tile += gridDim.x) {
    const Element at = tile_element(x, weight, e, tile);
    if (at.row >= e.rows || at.column >= e.columns) continue;
    const float offset = bias != nullptr ? static_cast<float>(bias[at.column]) : 0.0f;
    y[at.row * e.columns + at.column] = T(f.forward(at.sum + offset));
  }
}

/// What is wanted of a layer's gradients; null where it is not.
template <typename T>
struct Gradients {
  T *dx, *dw, *db;
};

template <typename T, typename F>
__global__ void __launch_bounds__(kBlock)
    backward_kernel(Slope<T, F> slope, const T* x, const T* weight, std::int64_t rows, std::int64_t outputs,
                    std::int64_t depth, std::int64_t x_tiles, std::int64_t tiles, Gradients<T> to) {
  const Extents of_x{rows, depth, outputs}, of_w{outputs, to.dw != nullptr ? depth : 0, rows};
  for (std::int64_t tile = blockIdx.x; tile < tiles; tile += gridDim.x) {
    if (tile < x_tiles) {
      const Element at = tile_element(SlopeRows<T, F>{slope, outputs}, Columns<T>{weight, depth}, of_x, tile);
      if (at.row < rows && at.column < depth) to.dx[at.row * depth + at.column] = T(at.sum);
      continue;
    }
    const Element at =
        tile_element(SlopeColumns<T, F>{slope, outputs}, Columns<T>{x, depth}, of_w, tile - x_tiles);
    if (at.row >= outputs) continue;
    if (at.column < of_w.columns) to.dw[at.row * depth + at.column] = T(at.sum);
    if (at.column == 0 && to.db != nullptr) to.db[at.row] = T(at.row_sum);
  }
}

}  // namespace

void linear_forward(const TensorView& x, const TensorView& weight, const TensorView& bias,
                    const TensorView& y, const ActivationParams& activation) {
  const std::int64_t depth = x.shape[1];
  const Extents extents{x.shape[0], weight.shape[0], depth};
  visit_float("linear_forward", x.dtype, [&]<typename T>() {
    functors::visit_activation<float>(activation, [&](auto f) {
      launch("linear_forward", forward_kernel<T, decltype(f)>, grid_for(extents.tiles(), 1), kBlock, 0,
             this_stream(), Rows<T>{x.as<const T>(), depth}, Rows<T>{weight.as<const T>(), depth},
             bias.as<const T>(), extents, f, y.as<T>());
    });
  });
}

void linear_backward(const TensorView& dy, const TensorView& y, const TensorView& x, const TensorView& weight,
                     const TensorView& dx, const TensorView& dw, const TensorView& db,
                     const ActivationParams& activation) {
  const std::int64_t rows = dy.shape[0], outputs = dy.shape[1];
  const std::int64_t depth = dx.data != nullptr ? dx.shape[1] : (dw.data != nullptr ? dw.shape[1] : 0);
  const std::int64_t x_tiles = dx.data != nullptr ? Extents{rows, depth, outputs}.tiles() : 0;
  // Without dweight, a column of tiles for dbias.
  const Extents of_w{outputs, dw.data != nullptr ? depth : 1, rows};
  const std::int64_t w_tiles = dw.data != nullptr || db.data != nullptr ? of_w.tiles() : 0;
  visit_float("linear_backward", dy.dtype, [&]<typename T>() {
    functors::visit_output_activation<float>(activation, [&](auto f) {
      launch("linear_backward", backward_kernel<T, decltype(f)>, grid_for(x_tiles + w_tiles, 1), kBlock, 0,
             this_stream(), Slope<T, decltype(f)>{f, dy.as<const T>(), y.as<const T>()}, x.as<const T>(),
             weight.as<const T>(), rows, outputs, depth, x_tiles, x_tiles + w_tiles,
             Gradients<T>{dx.as<T>(), dw.as<T>(), db.as<T>()});
    });
  });
}

}  // namespace dlcuda::kernels::cuda

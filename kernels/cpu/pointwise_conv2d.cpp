// Tile registers (Intel's AMX) multiply 16 x 32 by 32 x 16 bf16 and add to f32. Their left side is rows of
// 32 numbers, as pixels lie in memory; their right side wants two neighbours in depth side by side, so that
// whatever is on the right is packed first. In the gradient of the weight the depth are pixels: there both
// sides are packed.
#include "dlcuda/kernels/cpu/pointwise_conv2d.h"

#include <immintrin.h>

#include "dlcuda/kernels/cpu/loops.h"
#include "dlcuda/kernels/cpu/pointwise_tiles.h"

namespace dlcuda::kernels::cpu::DLCUDA_ISA {
namespace {

/// Two neighbouring bf16.
using Word __attribute__((may_alias, aligned(2))) = std::uint32_t;

/// This thread's tiles: 0 to 3 are a block of sums, row by row; 4 and 5 the left side's rows, 6 and 7 the
/// right side's columns, `depth` deep.
class Tiles {
 public:
  DLCUDA_INLINE explicit Tiles(std::int64_t depth) {
    struct alignas(64) {
      std::uint8_t palette = 1, start_row = 0, reserved[14] = {};
      std::uint16_t row_bytes[16] = {};
      std::uint8_t rows[16] = {};
    } shapes;
    for (int tile = 0; tile < 8; ++tile) {
      shapes.row_bytes[tile] = 64;
      shapes.rows[tile] = kTileSide;
    }
    shapes.row_bytes[4] = shapes.row_bytes[5] = static_cast<std::uint16_t>(2 * depth);
    shapes.rows[6] = shapes.rows[7] = static_cast<std::uint8_t>(depth / 2);
    _tile_loadconfig(&shapes);
  }
  DLCUDA_INLINE ~Tiles() { _tile_release(); }
  Tiles(const Tiles&) = delete;
  Tiles& operator=(const Tiles&) = delete;
};

/// One side of a product: its first tile, how far apart the next in depth and the one beside it are (in
/// elements), and the bytes between a tile's rows.
struct Side {
  const BFloat16* first;
  std::int64_t next, beside, row_bytes;
};

/// The block of sums += left * right, `steps` tiles deep. Of the second row or column of tiles there may be
/// none.
template <bool kTwoRows, bool kTwoColumns>
DLCUDA_INLINE void add_product(const Side& left, const Side& right, std::int64_t steps) {
  const BFloat16 *a = left.first, *b = right.first;
  for (std::int64_t i = 0; i < steps; ++i, a += left.next, b += right.next) {
    _tile_loadd(4, a, left.row_bytes);
    _tile_loadd(6, b, right.row_bytes);
    _tile_dpbf16ps(0, 4, 6);
    if constexpr (kTwoColumns) {
      _tile_loadd(7, b + right.beside, right.row_bytes);
      _tile_dpbf16ps(1, 4, 7);
    }
    if constexpr (kTwoRows) {
      _tile_loadd(5, a + left.beside, left.row_bytes);
      _tile_dpbf16ps(2, 5, 6);
      if constexpr (kTwoColumns) _tile_dpbf16ps(3, 5, 7);
    }
  }
}

constexpr int kSumsRowBytes = kBlockSide * sizeof(float);

DLCUDA_INLINE void clear_sums() {
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
}
DLCUDA_INLINE void load_sums(const float* block) {
  _tile_loadd(0, block, kSumsRowBytes);
  _tile_loadd(1, block + kTileSide, kSumsRowBytes);
  _tile_loadd(2, block + kTileSide * kBlockSide, kSumsRowBytes);
  _tile_loadd(3, block + kTileSide * kBlockSide + kTileSide, kSumsRowBytes);
}
DLCUDA_INLINE void store_sums(float* block) {
  _tile_stored(0, block, kSumsRowBytes);
  _tile_stored(1, block + kTileSide, kSumsRowBytes);
  _tile_stored(2, block + kTileSide * kBlockSide, kSumsRowBytes);
  _tile_stored(3, block + kTileSide * kBlockSide + kTileSide, kSumsRowBytes);
}

DLCUDA_INLINE __mmask32 first_of_32(std::int64_t count) {
  return count >= 32 ? ~__mmask32{0} : (__mmask32{1} << count) - 1;
}
DLCUDA_INLINE __mmask16 first_of_16(std::int64_t count) {
  return static_cast<__mmask16>(count >= 16 ? 0xffff : (1 << count) - 1);
}

/// 32 sums as bf16.
DLCUDA_INLINE __m512i to_bf16(__m512 first, __m512 second) {
  return reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(second, first));
}

/// Elements of `columns` weights `apart` from each other, `steps.depth * steps.count` deep, as tiles of the
/// right side: those of one column of tiles one after another, the last filled up with zeros.
void pack_weight(const BFloat16* weight, std::int64_t apart, std::int64_t depth_apart, std::int64_t columns,
                 const DepthSteps& steps, BFloat16* to) {
  const std::int64_t pairs = steps.depth / 2, depth = steps.depth * steps.count;
  const std::int64_t tiles = ceil_div(columns, kBlockSide) * 2;
  parallel_for(tiles, kGrain / (kTileSide * depth) + 1, [=](std::int64_t begin, std::int64_t end) {
    for (std::int64_t tile = begin; tile < end; ++tile) {
      const std::int64_t first = tile * kTileSide;
      const std::int64_t count = columns - first < kTileSide ? columns - first : kTileSide;
      Word* const words = reinterpret_cast<Word*>(to + tile * steps.count * kTileElements);
      if (count < kTileSide) {
        for (std::int64_t i = 0; i < steps.count * kTileElements / 2; ++i) words[i] = 0;
      }
      for (std::int64_t pair = 0; pair < depth / 2; ++pair) {
        Word* const row = words + pair / pairs * (kTileElements / 2) + pair % pairs * kTileSide;
        const BFloat16* const from = weight + first * apart + 2 * pair * depth_apart;
        if (depth_apart == 1) {
          for (std::int64_t i = 0; i < count; ++i) row[i] = *reinterpret_cast<const Word*>(from + i * apart);
        } else {
          for (std::int64_t i = 0; i < count; ++i) {
            const std::uint32_t even = __builtin_bit_cast(std::uint16_t, from[i]);
            const std::uint32_t odd = __builtin_bit_cast(std::uint16_t, from[i + depth_apart]);
            row[i] = even | odd << 16;
          }
        }
      }
    }
  });
}

/// What is done with sums before they are rounded: f(sum + bias + residual).
struct Finish {
  const float* bias;         // of each column, zeros behind the last
  const BFloat16* residual;  // as large as the result, or null
  PiecewiseLinear f;
};

/// 16 neighbours in f32.
DLCUDA_INLINE __m512 widened(__m256i values) {
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(values), 16));
}

/// to (pixels, columns) = f(from (pixels, depth) * packed).
struct PixelProduct {
  const BFloat16* from;
  BFloat16* to;
  const BFloat16* packed;
  std::int64_t pixels, columns;
  DepthSteps steps;
  Finish finish;

  DLCUDA_INLINE std::int64_t depth() const { return steps.depth * steps.count; }

  /// f(sums) of a block whose first element in the result is `at`; rows from `begin` on.
  DLCUDA_INLINE void write_rows(const float* sums, std::int64_t begin, std::int64_t column,
                                std::int64_t at) const {
    const __mmask32 written = first_of_32(columns - column);
    const float* const biases = finish.bias ? finish.bias + column : nullptr;
    const __m512 first_bias = biases ? _mm512_loadu_ps(biases) : _mm512_setzero_ps();
    const __m512 second_bias = biases ? _mm512_loadu_ps(biases + kTileSide) : _mm512_setzero_ps();
    const bool changes = !finish.f.is_identity();
    for (std::int64_t row = begin; row < kBlockSide; ++row) {
      __m512 first = _mm512_load_ps(sums + row * kBlockSide) + first_bias;
      __m512 second = _mm512_load_ps(sums + row * kBlockSide + kTileSide) + second_bias;
      if (finish.residual) {
        const __m512i beside = _mm512_maskz_loadu_epi16(written, finish.residual + at + row * columns);
        first += widened(_mm512_castsi512_si256(beside));
        second += widened(_mm512_extracti64x4_epi64(beside, 1));
      }
      if (changes) {
        first = finish.f(first);
        second = finish.f(second);
      }
      _mm512_mask_storeu_epi16(to + at + row * columns, written, to_bf16(first, second));
    }
  }

  /// kBlockSide pixels from `pixel` on, or as many as there are.
  DLCUDA_INLINE void write_block(std::int64_t pixel) const {
    // The last block reaches back to pixels that the one before it writes.
    const std::int64_t over = pixel + kBlockSide <= pixels ? 0 : pixel + kBlockSide - pixels;
    const std::int64_t first = pixel - over;
    const Side left{from + first * depth(), steps.depth, kTileSide * depth(),
                    depth() * std::int64_t(sizeof(BFloat16))};
    const std::int64_t column_of_tiles = steps.count * kTileElements;
    prefetch(left.first + kBlockSide * depth(), kBlockSide * depth());
    for (std::int64_t column = 0; column < columns; column += kBlockSide) {
      const Side right{packed + column / kTileSide * column_of_tiles, kTileElements, column_of_tiles, 64};
      clear_sums();
      if (columns - column > kTileSide) {
        add_product<true, true>(left, right, steps.count);
      } else {
        add_product<true, false>(left, right, steps.count);
      }
      alignas(64) float sums[kBlockElements];
      store_sums(sums);
      write_rows(sums, over, column, first * columns + column);
    }
  }

  void run() const {
    parallel_for(ceil_div(pixels, kBlockSide), kGrain / (kBlockSide * (depth() + columns)) + 1,
                 [&](std::int64_t begin, std::int64_t end) {
                   const Tiles tiles(steps.depth);
                   for (std::int64_t block = begin; block < end; ++block) write_block(block * kBlockSide);
                 });
  }
};

/// 32 rows of 16 bf16, `apart` elements from each other, as 16 rows of 32: a tile of the left side. What is
/// beyond `rows` and `columns` is zero.
DLCUDA_INLINE void turn(const BFloat16* from, std::int64_t apart, std::int64_t rows, std::int64_t columns,
                        BFloat16* to) {
  const __mmask16 seen = first_of_16(columns);
  const auto row = [&](std::int64_t i) {
    return i < rows ? _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(seen, from + i * apart))
                    : _mm512_setzero_si512();
  };
  __m512i a[kTileSide], b[kTileSide];
#pragma GCC unroll 16
  for (int i = 0; i < kTileSide; ++i) {
    a[i] = _mm512_or_si512(row(2 * i), _mm512_slli_epi32(row(2 * i + 1), 16));
  }
  // 16 x 16 words change places: first within groups of 4 x 4, then the groups.
#pragma GCC unroll 8
  for (int i = 0; i < kTileSide; i += 2) {
    b[i] = _mm512_unpacklo_epi32(a[i], a[i + 1]);
    b[i + 1] = _mm512_unpackhi_epi32(a[i], a[i + 1]);
  }
#pragma GCC unroll 4
  for (int i = 0; i < kTileSide; i += 4) {
    a[i] = _mm512_unpacklo_epi64(b[i], b[i + 2]);
    a[i + 1] = _mm512_unpackhi_epi64(b[i], b[i + 2]);
    a[i + 2] = _mm512_unpacklo_epi64(b[i + 1], b[i + 3]);
    a[i + 3] = _mm512_unpackhi_epi64(b[i + 1], b[i + 3]);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    b[i] = _mm512_shuffle_i32x4(a[i], a[4 + i], 0x88);
    b[4 + i] = _mm512_shuffle_i32x4(a[i], a[4 + i], 0xdd);
    b[8 + i] = _mm512_shuffle_i32x4(a[8 + i], a[12 + i], 0x88);
    b[12 + i] = _mm512_shuffle_i32x4(a[8 + i], a[12 + i], 0xdd);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    const auto put = [&](int at, __m512i words) { _mm512_storeu_si512(to + at * kTileDepth, words); };
    put(i, _mm512_shuffle_i32x4(b[i], b[8 + i], 0x88));
    put(4 + i, _mm512_shuffle_i32x4(b[4 + i], b[12 + i], 0x88));
    put(8 + i, _mm512_shuffle_i32x4(b[i], b[8 + i], 0xdd));
    put(12 + i, _mm512_shuffle_i32x4(b[4 + i], b[12 + i], 0xdd));
  }
}

/// 32 rows of 32 bf16 as two tiles of the right side. Their columns stand as unpack instructions leave them,
/// which in_order() undoes.
DLCUDA_INLINE void interleave(const BFloat16* from, std::int64_t apart, std::int64_t rows,
                              std::int64_t columns, BFloat16* to, BFloat16* beside) {
  const __mmask32 seen = first_of_32(columns);
  const auto row = [&](std::int64_t i) {
    return i < rows ? _mm512_maskz_loadu_epi16(seen, from + i * apart) : _mm512_setzero_si512();
  };
  for (std::int64_t i = 0; i < kTileSide; ++i) {
    const __m512i even = row(2 * i), odd = row(2 * i + 1);
    _mm512_storeu_si512(to + i * kTileDepth, _mm512_unpacklo_epi16(even, odd));
    _mm512_storeu_si512(beside + i * kTileDepth, _mm512_unpackhi_epi16(even, odd));
  }
}

/// 32 columns of interleave() as they were.
DLCUDA_INLINE __m512i in_order(__m512i columns) {
  alignas(64) static constexpr std::uint16_t kPlaces[32] = {0,  1,  2,  3,  16, 17, 18, 19, 4,  5,  6,
                                                            7,  20, 21, 22, 23, 8,  9,  10, 11, 24, 25,
                                                            26, 27, 12, 13, 14, 15, 28, 29, 30, 31};
  return _mm512_permutexvar_epi16(_mm512_load_si512(kPlaces), columns);
}

/// The gradient of the weight: left^T * right.
struct WeightProduct {
  const BFloat16 *left, *right;  // (pixels, channels)
  WeightCut cut;
  float* sums;       // cut.task_sums() of each task
  BFloat16* packed;  // cut.packed() of each thread

  static constexpr std::int64_t kAtOnce = WeightCut::kPixelsAtOnce;
  static constexpr std::int64_t kLane = kAtOnce / kTileDepth * kTileElements;  // tiles of one column

  DLCUDA_INLINE std::int64_t first_column(std::int64_t task) const { return task % cut.panels * cut.panel; }
  DLCUDA_INLINE std::int64_t columns(std::int64_t task) const {
    const std::int64_t rest = cut.right - first_column(task);
    return rest < cut.panel ? rest : cut.panel;
  }

  /// kTileDepth pixels of both sides, the `step`th of those that are packed at once.
  DLCUDA_INLINE void pack(std::int64_t task, std::int64_t pixel, std::int64_t rows, std::int64_t step,
                          BFloat16* to_left, BFloat16* to_right) const {
    const BFloat16* const l = left + pixel * cut.left;
    const BFloat16* const r = right + pixel * cut.right + first_column(task);
    const std::int64_t width = columns(task);
    prefetch(l + kTileDepth * cut.left, kTileDepth * cut.left);
    if (cut.panels == 1) prefetch(r + kTileDepth * cut.right, kTileDepth * cut.right);
    for (std::int64_t c = 0; c < cut.left; c += kTileSide) {
      turn(l + c, cut.left, rows, cut.left - c, to_left + c / kTileSide * kLane + step * kTileElements);
    }
    for (std::int64_t c = 0; c < width; c += kBlockSide) {
      BFloat16* const to = to_right + c / kTileSide * kLane + step * kTileElements;
      interleave(r + c, cut.right, rows, width - c, to, to + kLane);
    }
  }

  void add_up(std::int64_t task, BFloat16* to_left) const {
    BFloat16* const to_right = to_left + cut.packed_left();
    const std::int64_t steps = ceil_div(cut.pixels, kTileDepth), part = task / cut.panels;
    const std::int64_t begin = steps * part / cut.parts, end = steps * (part + 1) / cut.parts;
    for (std::int64_t first = begin; first < end; first += kAtOnce / kTileDepth) {
      const std::int64_t most = kAtOnce / kTileDepth, count = end - first < most ? end - first : most;
      for (std::int64_t step = 0; step < count; ++step) {
        const std::int64_t pixel = (first + step) * kTileDepth, rest = cut.pixels - pixel;
        pack(task, pixel, rest < kTileDepth ? rest : kTileDepth, step, to_left, to_right);
      }
      float* block = sums + task * cut.task_sums();
      for (std::int64_t row = 0; row < cut.left; row += kBlockSide) {
        const Side a{to_left + row / kTileSide * kLane, kTileElements, kLane, 64};
        for (std::int64_t column = 0; column < columns(task); column += kBlockSide, block += kBlockElements) {
          const Side b{to_right + column / kTileSide * kLane, kTileElements, kLane, 64};
          first == begin ? clear_sums() : load_sums(block);
          if (cut.left - row > kTileSide) {
            add_product<true, true>(a, b, count);
          } else {
            add_product<false, true>(a, b, count);
          }
          store_sums(block);
        }
      }
    }
  }

  /// One block of the gradient, summed over the parts, in bf16: (left, right).
  DLCUDA_INLINE void round_block(std::int64_t panel, std::int64_t block, BFloat16* to) const {
    for (std::int64_t row = 0; row < kBlockSide; ++row) {
      alignas(64) float total[kBlockSide] = {};
      for (std::int64_t part = 0; part < cut.parts; ++part) {
        const float* const from =
            sums + (part * cut.panels + panel) * cut.task_sums() + block * kBlockElements + row * kBlockSide;
        for (int l = 0; l < kBlockSide; ++l) total[l] += from[l];
      }
      _mm512_storeu_si512(to + row * kBlockSide,
                          in_order(to_bf16(_mm512_load_ps(total), _mm512_load_ps(total + kTileSide))));
    }
  }

  /// weight: (right, left) where `turned`, or (left, right).
  DLCUDA_INLINE void write(std::int64_t row, std::int64_t column, bool turned, BFloat16* weight) const {
    const std::int64_t panel = column / cut.panel, within = column - panel * cut.panel;
    const std::int64_t across = ceil_div(columns(panel), kBlockSide);
    alignas(64) BFloat16 block[kBlockElements];
    round_block(panel, row / kBlockSide * across + within / kBlockSide, block);
    std::int64_t rows = cut.left - row, width = cut.right - column;
    rows = rows < kBlockSide ? rows : kBlockSide;
    width = width < kBlockSide ? width : kBlockSide;
    if (turned) {
      alignas(64) BFloat16 other[kBlockElements];
      turn(block, kBlockSide, kBlockSide, kTileSide, other);
      turn(block + kTileSide, kBlockSide, kBlockSide, kTileSide, other + kTileElements);
      for (std::int64_t i = 0; i < width; ++i) {
        _mm512_mask_storeu_epi16(weight + (column + i) * cut.left + row, first_of_32(rows),
                                 _mm512_load_si512(other + i * kBlockSide));
      }
    } else {
      for (std::int64_t i = 0; i < rows; ++i) {
        _mm512_mask_storeu_epi16(weight + (row + i) * cut.right + column, first_of_32(width),
                                 _mm512_load_si512(block + i * kBlockSide));
      }
    }
  }

  void run(bool turned, BFloat16* weight) const {
    parallel_for(cut.tasks(), 1, [&](std::int64_t begin, std::int64_t end) {
      const Tiles tiles(kTileDepth);
      // Called by a thread of somebody's region, the first may have another number.
      const std::int64_t thread = begin == 0 ? 0 : omp_get_thread_num();
      for (std::int64_t task = begin; task < end; ++task) add_up(task, packed + thread * cut.packed());
    });
    const std::int64_t rows = cut.left_blocks(), blocks = rows * ceil_div(cut.right, kBlockSide);
    parallel_for(blocks, kGrain / (kBlockElements * cut.parts) + 1,
                 [&](std::int64_t begin, std::int64_t end) {
                   for (std::int64_t block = begin; block < end; ++block) {
                     write(block % rows * kBlockSide, block / rows * kBlockSide, turned, weight);
                   }
                 });
  }
};

}  // namespace

void pointwise_forward(const TensorView& x, const TensorView& weight, const TensorView& bias,
                       const TensorView& residual, const TensorView& y, const PiecewiseLinear& activation,
                       void* scratch) {
  const std::int64_t inputs = x.shape[1], outputs = y.shape[1];
  const DepthSteps steps(inputs);
  BFloat16* const packed = static_cast<BFloat16*>(scratch);
  const std::int64_t padded = ceil_div(outputs, kBlockSide) * kBlockSide;
  float* const biases = reinterpret_cast<float*>(packed + padded / kTileSide * steps.count * kTileElements);
  pack_weight(weight.as<const BFloat16>(), inputs, 1, outputs, steps, packed);
  if (bias.data) {
    visit_floating(bias.dtype, [&]<typename B>() {
      for (std::int64_t c = 0; c < padded; ++c) {
        biases[c] = c < outputs ? static_cast<float>(bias.as<const B>()[c]) : 0.0f;
      }
    });
  }
  const Finish finish{bias.data ? biases : nullptr, residual.as<const BFloat16>(), activation};
  PixelProduct{x.as<const BFloat16>(), y.as<BFloat16>(), packed, x.numel() / inputs, outputs, steps, finish}
      .run();
}

void pointwise_backward_data(const TensorView& dy, const TensorView& weight, const TensorView& dx,
                             void* scratch) {
  const std::int64_t inputs = dx.shape[1], outputs = dy.shape[1];
  const DepthSteps steps(outputs);
  BFloat16* const packed = static_cast<BFloat16*>(scratch);
  pack_weight(weight.as<const BFloat16>(), 1, inputs, inputs, steps, packed);
  PixelProduct{dy.as<const BFloat16>(), dx.as<BFloat16>(), packed, dy.numel() / outputs, inputs, steps, {}}
      .run();
}

void pointwise_backward_weight(const TensorView& x, const TensorView& dy, const TensorView& dw,
                               void* scratch) {
  const std::int64_t inputs = x.shape[1], outputs = dy.shape[1];
  const bool turned = inputs < outputs;  // x is the left side, and dw lies (outputs, inputs)
  const WeightCut cut(x.numel() / inputs, inputs, outputs);
  float* const sums = static_cast<float*>(scratch);
  WeightProduct{(turned ? x : dy).as<const BFloat16>(), (turned ? dy : x).as<const BFloat16>(), cut, sums,
                reinterpret_cast<BFloat16*>(sums + cut.tasks() * cut.task_sums())}
      .run(turned, dw.as<BFloat16>());
}

}  // namespace dlcuda::kernels::cpu::DLCUDA_ISA

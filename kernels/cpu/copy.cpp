#include "dlcuda/kernels/copy.h"

#include "dlcuda/kernels/cpu/loops.h"
#include "dlcuda/kernels/functors/convert.h"
#include "dlcuda/kernels/walk.h"

namespace dlcuda::kernels::cpu::DLCUDA_ISA {
namespace {

/// The axes of a copy; its views:
using CopyWalk = Walk<2>;
enum { kTo, kFrom };

/// Where a row of a walk begins: `rest` is its number among those that all axes but the last `inner` make.
DLCUDA_INLINE void locate(const CopyWalk& walk, int rank, std::int64_t rest, std::int64_t& from,
                          std::int64_t& to) {
  from = to = 0;
  for (int axis = rank - 1; axis >= 0; --axis) {
    const std::int64_t index = rest % walk.extent[axis];
    rest /= walk.extent[axis];
    from += index * walk.stride[kFrom][axis];
    to += index * walk.stride[kTo][axis];
  }
}

template <typename From, typename To>
DLCUDA_INLINE void copy_rows(const From* source, To* target, const CopyWalk& walk) {
  const int inner = walk.rank - 1;
  const std::int64_t length = walk.extent[inner], from_step = walk.stride[kFrom][inner],
                     to_step = walk.stride[kTo][inner];
  parallel_for(walk.count / length, kGrain / length + 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row) {
      std::int64_t from_at, to_at;
      locate(walk, inner, row, from_at, to_at);
      const From* in = source + from_at;
      To* out = target + to_at;
      if (from_step == 1 && to_step == 1) {
        for (std::int64_t i = 0; i < length; ++i) out[i] = functors::convert<To>(in[i]);
      } else {
        for (std::int64_t i = 0; i < length; ++i) out[i * to_step] = functors::convert<To>(in[i * from_step]);
      }
    }
  });
}

/// The last axis runs along `to`, the one before it along `from`: in squares, so that both sides use a cache
/// line while it is there.
template <typename From, typename To>
DLCUDA_INLINE void transpose(const From* source, To* target, const CopyWalk& walk) {
  constexpr std::int64_t kSquare = 32, kArea = kSquare * kSquare;
  const int row_axis = walk.rank - 2, column_axis = walk.rank - 1;
  const std::int64_t rows = walk.extent[row_axis], columns = walk.extent[column_axis];
  // Where one side is thin, as the colours of a picture are, the other one is longer.
  const std::int64_t tall = columns < kSquare ? kArea / columns : rows < kSquare ? rows : kSquare;
  const std::int64_t wide = columns < kSquare ? columns : rows < kSquare ? kArea / rows : kSquare;
  const std::int64_t down = (rows + tall - 1) / tall, across = (columns + wide - 1) / wide;
  const std::int64_t squares = walk.count / rows / columns * down * across;
  parallel_for(squares, kGrain / kArea, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t square = begin; square < end; ++square) {
      std::int64_t from_at, to_at;
      locate(walk, row_axis, square / down / across, from_at, to_at);
      const std::int64_t row = square / across % down * tall, column = square % across * wide;
      const std::int64_t row_end = row + tall < rows ? row + tall : rows;
      const std::int64_t column_end = column + wide < columns ? column + wide : columns;
      for (std::int64_t r = row; r < row_end; ++r) {
        const From* in = source + from_at + r;
        To* out = target + to_at + r * walk.stride[kTo][row_axis];
        for (std::int64_t c = column; c < column_end; ++c) {
          out[c] = functors::convert<To>(in[c * walk.stride[kFrom][column_axis]]);
        }
      }
    }
  });
}

/// Moves the axis along which `from` is contiguous next to the last, if that is a transposition worth
/// squares.
DLCUDA_INLINE bool arrange_transposition(CopyWalk& walk) {
  constexpr std::int64_t kThin = 2, kWorth = 256;
  const int columns = walk.rank - 1;
  if (walk.rank < 2 || walk.stride[kTo][columns] != 1 || walk.extent[columns] < kThin) return false;
  for (int rows = 0; rows < columns; ++rows) {
    if (walk.stride[kFrom][rows] != 1 || walk.extent[rows] < kThin) continue;
    if (walk.extent[rows] * walk.extent[columns] < kWorth) continue;
    const std::int64_t extent = walk.extent[rows], to = walk.stride[kTo][rows];
    for (int axis = rows; axis < columns - 1; ++axis) {
      walk.extent[axis] = walk.extent[axis + 1];
      walk.stride[kFrom][axis] = walk.stride[kFrom][axis + 1];
      walk.stride[kTo][axis] = walk.stride[kTo][axis + 1];
    }
    walk.extent[columns - 1] = extent;
    walk.stride[kFrom][columns - 1] = 1;
    walk.stride[kTo][columns - 1] = to;
    return true;
  }
  return false;
}

}  // namespace

void copy(const TensorView& from, const TensorView& to) {
  CopyWalk walk = walk_of({&to, &from});
  if (walk.count == 0) return;
  const bool transposed = arrange_transposition(walk);
  visit_any(from.dtype, [&]<typename From>() {
    visit_any(to.dtype, [&]<typename To>() {
      const From* source = from.as<const From>();
      To* target = to.as<To>();
      if (walk.is_flat()) {
        parallel_for(walk.count, kGrain, [=](std::int64_t begin, std::int64_t end) {
          for (std::int64_t i = begin; i < end; ++i) target[i] = functors::convert<To>(source[i]);
        });
      } else if (transposed) {
        transpose(source, target, walk);
      } else {
        copy_rows(source, target, walk);
      }
    });
  });
}

}  // namespace dlcuda::kernels::cpu::DLCUDA_ISA

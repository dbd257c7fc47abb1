#include "dlcuda/kernels/pad.h"

#include "dlcuda/kernels/cpu/loops.h"
#include "dlcuda/kernels/functors/convert.h"

namespace dlcuda::kernels::cpu::DLCUDA_ISA {
namespace {

/// Where a row of x begins that lies in a row of y, of which `row` is the number among those that all axes
/// but the last make; -1 where that row is padding.
DLCUDA_INLINE std::int64_t find_row(const PadAxes& axes, std::int64_t row) {
  std::int64_t from = 0;
  for (int axis = axes.rank - 2; axis >= 0; --axis) {
    const std::int64_t place = row % axes.extent[axis] - axes.before[axis];
    row /= axes.extent[axis];
    if (place < 0 || place >= axes.kept[axis]) return -1;
    from += place * axes.stride[axis];
  }
  return from;
}

template <typename T>
DLCUDA_INLINE void pad_rows(const T* x, T* y, const PadAxes& axes, T value) {
  const int inner = axes.rank - 1;
  const std::int64_t length = axes.extent[inner], begin = axes.before[inner], step = axes.stride[inner],
                     end = begin + axes.kept[inner];
  parallel_for(axes.count / length, kGrain / length + 1, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t row = first; row < last; ++row) {
      T* const to = y + row * length;
      const std::int64_t at = find_row(axes, row);
      if (at < 0) {
        for (std::int64_t i = 0; i < length; ++i) to[i] = value;
        continue;
      }
      const T* const from = x + at;
      for (std::int64_t i = 0; i < begin; ++i) to[i] = value;
      if (step == 1) {
        for (std::int64_t i = begin; i < end; ++i) to[i] = from[i - begin];
      } else {
        for (std::int64_t i = begin; i < end; ++i) to[i] = from[(i - begin) * step];
      }
      for (std::int64_t i = end; i < length; ++i) to[i] = value;
    }
  });
}

}  // namespace

void pad(const TensorView& kept, const TensorView& y, const PadAxes& axes, double value) {
  visit_any(y.dtype, [&]<typename T>() {
    if (axes.rank == 0) {
      *y.as<T>() = *kept.as<const T>();
    } else {
      pad_rows(kept.as<const T>(), y.as<T>(), axes, functors::convert<T>(value));
    }
  });
}

}  // namespace dlcuda::kernels::cpu::DLCUDA_ISA

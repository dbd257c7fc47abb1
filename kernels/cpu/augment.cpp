#include "dlcuda/kernels/augment.h"

#include "dlcuda/kernels/cpu/loops.h"
#include "dlcuda/kernels/functors/augment.h"
#include "dlcuda/kernels/functors/convert.h"

namespace dlcuda::kernels::cpu::DLCUDA_ISA {
namespace {

/// One row of one channel. `from`: the stored row, or null where the placement does not cover it.
template <typename Out>
DLCUDA_INLINE void place_row(const std::uint8_t* from, std::int64_t from_step, const Placement& p,
                             const float* levels, Out* to, std::int64_t to_step, std::int64_t width) {
  const Out fill = functors::convert<Out>(levels[p.fill & 255]);
  const std::int64_t left = from != nullptr ? p.left : width, right = from != nullptr ? p.right : width;
  for (std::int64_t j = 0; j < left; ++j) to[j * to_step] = fill;
  if (left < right) {
    const std::int64_t first = p.mirrored != 0 ? p.column - left : p.column + left;
    const std::uint8_t* pixel = from + first * from_step;
    const std::int64_t step = p.mirrored != 0 ? -from_step : from_step;
    for (std::int64_t j = left; j < right; ++j, pixel += step) {
      to[j * to_step] = functors::convert<Out>(levels[*pixel]);
    }
  }
  for (std::int64_t j = right; j < width; ++j) to[j * to_step] = fill;
}

}  // namespace

void augment(const TensorView& x, const TensorView& placements, const TensorView& levels,
             const TensorView& y) {
  const std::int64_t channels = y.shape[1], height = y.shape[2], width = y.shape[3];
  const auto* stored = x.as<const std::uint8_t>();
  const auto* table = placements.as<const Placement>();
  const auto* values = levels.as<const float>();
  visit_floating(y.dtype, [&]<typename Out>() {
    Out* const result = y.as<Out>();
    const std::int64_t row_elements = channels * width;
    const std::int64_t grain = row_elements > 0 ? (kGrain + row_elements - 1) / row_elements : 1;
    parallel_for(y.shape[0] * height, grain, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t row = begin; row < end; ++row) {
        const std::int64_t n = row / height, i = row % height;
        const Placement p = functors::clipped(table[n], x.shape[2], x.shape[3], height, width);
        const bool covered = p.top <= i && i < p.bottom;
        for (std::int64_t c = 0; c < channels; ++c) {
          const std::uint8_t* from =
              covered ? stored + n * x.strides[0] + c * x.strides[1] + (i + p.row) * x.strides[2] : nullptr;
          place_row(from, x.strides[3], p, values + c * 256,
                    result + n * y.strides[0] + c * y.strides[1] + i * y.strides[2], y.strides[3], width);
        }
      }
    });
  });
}

}  // namespace dlcuda::kernels::cpu::DLCUDA_ISA

#include "dlcuda/kernels/resample.h"

#include "dlcuda/kernels/cpu/loops.h"
#include "dlcuda/kernels/functors/resample.h"

namespace dlcuda::kernels::cpu::DLCUDA_ISA {
namespace {

using functors::ResampleAxis;

DLCUDA_INLINE ResampleAxis axis_of(int axis, const TensorView& x, const TensorView& y, Resample mode,
                                   const std::array<std::int64_t, 2>& before) {
  return ResampleAxis(mode, x.shape[2 + axis], y.shape[2 + axis], axis == 0 ? before[0] : before[1]);
}

/// body(n, row) for every row of pixels of every picture.
template <typename Body>
DLCUDA_INLINE void for_rows(const TensorView& y, const Body& body) {
  const std::int64_t rows = y.shape[2], row_size = y.shape[1] * y.shape[3];
  parallel_for(y.shape[0] * rows, kGrain / (4 * (row_size + 1)) + 1,
               [&](std::int64_t begin, std::int64_t end) {
                 for (std::int64_t i = begin; i < end; ++i) body(i / rows, i % rows);
               });
}

}  // namespace

void resample_forward(const TensorView& x, const TensorView& y, Resample mode,
                      std::array<std::int64_t, 2> before) {
  const ResampleAxis down = axis_of(0, x, y, mode, before), across = axis_of(1, x, y, mode, before);
  visit_floating(x.dtype, [&]<typename T>() {
    using C = compute_t<T>;
    for_rows(y, [&](std::int64_t n, std::int64_t row) {
      const auto v = down.template taps<C>(row);
      const C below = v.share, above = C(1) - below;
      for (std::int64_t column = 0; column < y.shape[3]; ++column) {
        const auto h = across.template taps<C>(column);
        const C right = h.share, left = C(1) - right;
        const T* picture = x.as<const T>() + n * x.strides[0];
        T* out = y.as<T>() + n * y.strides[0] + row * y.strides[2] + column * y.strides[3];
        for (std::int64_t c = 0; c < y.shape[1]; ++c) {
          const T* plane = picture + c * x.strides[1];
          const auto at = [&](std::int64_t r, std::int64_t k) {
            return static_cast<C>(plane[r * x.strides[2] + k * x.strides[3]]);
          };
          const C upper = left * at(v.first, h.first) + right * at(v.first, h.second);
          const C lower = left * at(v.second, h.first) + right * at(v.second, h.second);
          out[c * y.strides[1]] = static_cast<T>(above * upper + below * lower);
        }
      }
    });
  });
}

void resample_backward(const TensorView& dy, const TensorView& dx, Resample mode,
                       std::array<std::int64_t, 2> before) {
  const ResampleAxis down = axis_of(0, dx, dy, mode, before), across = axis_of(1, dx, dy, mode, before);
  visit_floating(dy.dtype, [&]<typename T>() {
    using C = compute_t<T>;
    for_rows(dx, [&](std::int64_t n, std::int64_t row) {
      const auto rows = down.outputs_of(row);
      for (std::int64_t column = 0; column < dx.shape[3]; ++column) {
        const auto columns = across.outputs_of(column);
        for (std::int64_t c = 0; c < dx.shape[1]; ++c) {
          const T* plane = dy.as<const T>() + n * dy.strides[0] + c * dy.strides[1];
          C sum = 0;
          for (std::int64_t r = rows.begin; r < rows.end; ++r) {
            const C vertical = down.template weight<C>(r, row);
            if (vertical == C(0)) continue;
            for (std::int64_t k = columns.begin; k < columns.end; ++k) {
              const C weight = vertical * across.template weight<C>(k, column);
              if (weight == C(0)) continue;
              sum += weight * static_cast<C>(plane[r * dy.strides[2] + k * dy.strides[3]]);
            }
          }
          dx.as<T>()[n * dx.strides[0] + c * dx.strides[1] + row * dx.strides[2] + column * dx.strides[3]] =
              static_cast<T>(sum);
        }
      }
    });
  });
}

}  // namespace dlcuda::kernels::cpu::DLCUDA_ISA

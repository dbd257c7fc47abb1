#include "dlcuda/kernels/resample.h"

#include "dlcuda/kernels/cpu/loops.h"
#include "dlcuda/kernels/functors/resample.h"

namespace dlcuda::kernels::cpu::DLCUDA_ISA {
namespace {

using Axis = functors::ResampleAxis<std::int64_t>;
template <typename C>
using Taps = functors::Taps<std::int64_t, C>;

DLCUDA_INLINE Axis axis_of(int axis, const TensorView& x, const TensorView& y, Resample mode,
                           const std::array<std::int64_t, 2>& before) {
  return Axis(mode, x.shape[2 + axis], y.shape[2 + axis], axis == 0 ? before[0] : before[1]);
}

/// Channels that lie beside each other: all of them, or one at a time.
DLCUDA_INLINE std::int64_t neighbours(const TensorView& x, const TensorView& y) {
  const auto last = [](const TensorView& t) { return t.strides[1] == 1 && t.shape[2] * t.shape[3] > 1; };
  return last(x) || last(y) ? y.shape[1] : 1;
}

/// Columns whose taps are found once for several rows.
constexpr std::int64_t kColumns = 256;
/// Channels, and outputs along a row, whose sums are gathered together.
constexpr std::int64_t kChannels = 16, kOutputs = 8;

}  // namespace

// Both take a tensor as planes (outer, height, width, inner) in the order of memory.

void resample_forward(const TensorView& x, const TensorView& y, Resample mode,
                      std::array<std::int64_t, 2> before) {
  const Axis down = axis_of(0, x, y, mode, before), across = axis_of(1, x, y, mode, before);
  const bool blends = mode == Resample::Bilinear || mode == Resample::BilinearCorners;
  const std::int64_t inner = neighbours(x, y), in_row = across.in() * inner, out_row = across.out() * inner;
  if (y.numel() == 0) return;
  visit_floating(x.dtype, [&]<typename T>() {
    using C = compute_t<T>;
    parallel_for(y.numel() / out_row, kGrain / (4 * out_row) + 1, [&](std::int64_t begin, std::int64_t end) {
      Taps<C> columns[kColumns];
      for (std::int64_t first = 0; first < across.out(); first += kColumns) {
        const std::int64_t count = across.out() - first < kColumns ? across.out() - first : kColumns;
        for (std::int64_t k = 0; k < count; ++k) columns[k] = across.template taps<C>(first + k);
        for (std::int64_t row = begin; row < end; ++row) {
          const Taps<C> v = down.template taps<C>(row % down.out());
          const T* plane = x.as<const T>() + row / down.out() * down.in() * in_row;
          const T *above = plane + v.first * in_row, *below = plane + v.second * in_row;
          T* out = y.as<T>() + row * out_row + first * inner;
          for (std::int64_t k = 0; k < count; ++k) {
            const Taps<C> h = columns[k];
            const std::int64_t left = h.first * inner, right = h.second * inner;
            for (std::int64_t c = 0; c < inner; ++c) {
              T& element = out[k * inner + c];
              if (!blends) {
                element = above[left + c];
                continue;
              }
              const C upper = (C(1) - h.share) * static_cast<C>(above[left + c]) +
                              h.share * static_cast<C>(above[right + c]);
              const C lower = (C(1) - h.share) * static_cast<C>(below[left + c]) +
                              h.share * static_cast<C>(below[right + c]);
              element = static_cast<T>((C(1) - v.share) * upper + v.share * lower);
            }
          }
        }
      }
    });
  });
}

void resample_backward(const TensorView& dy, const TensorView& dx, Resample mode,
                       std::array<std::int64_t, 2> before) {
  const Axis down = axis_of(0, dx, dy, mode, before), across = axis_of(1, dx, dy, mode, before);
  const std::int64_t inner = neighbours(dx, dy), in_row = across.in() * inner, out_row = across.out() * inner;
  if (dx.numel() == 0) return;
  visit_floating(dy.dtype, [&]<typename T>() {
    using C = compute_t<T>;
    // The shares of element i in outputs first, first + 1, ... as far as they go, at most kOutputs.
    const auto shares_of = [](const Axis& axis, std::int64_t i, std::int64_t first, std::int64_t end,
                              C* shares) {
      for (std::int64_t k = 0; k < kOutputs && first + k < end; ++k) {
        shares[k] = axis.template weight<C>(first + k, i);
      }
    };
    parallel_for(dx.numel() / in_row, kGrain / (8 * in_row) + 1, [&](std::int64_t begin, std::int64_t end) {
      functors::Range<std::int64_t> ranges[kColumns];
      C first_shares[kColumns][kOutputs], later_shares[kOutputs], row_shares[kOutputs];
      for (std::int64_t left = 0; left < across.in(); left += kColumns) {
        const std::int64_t columns = across.in() - left < kColumns ? across.in() - left : kColumns;
        for (std::int64_t w = 0; w < columns; ++w) {
          ranges[w] = across.outputs_of(left + w);
          shares_of(across, left + w, ranges[w].begin, ranges[w].end, first_shares[w]);
        }
        for (std::int64_t row = begin; row < end; ++row) {
          const std::int64_t h = row % down.in();
          const auto rows = down.outputs_of(h);
          shares_of(down, h, rows.begin, rows.end, row_shares);
          const T* plane = dy.as<const T>() + row / down.in() * down.out() * out_row;
          for (std::int64_t w = 0; w < columns; ++w) {
            for (std::int64_t channel = 0; channel < inner; channel += kChannels) {
              const std::int64_t channels = inner - channel < kChannels ? inner - channel : kChannels;
              C sum[kChannels] = {};
              const C* share = first_shares[w];
              for (std::int64_t first = ranges[w].begin; first < ranges[w].end; first += kOutputs) {
                std::int64_t count = ranges[w].end - first;
                if (count > kOutputs) count = kOutputs;
                if (first != ranges[w].begin) {
                  shares_of(across, left + w, first, ranges[w].end, later_shares);
                  share = later_shares;
                }
                for (std::int64_t r = rows.begin; r < rows.end; ++r) {
                  const C vertical =
                      r - rows.begin < kOutputs ? row_shares[r - rows.begin] : down.template weight<C>(r, h);
                  if (vertical == C(0)) continue;
                  for (std::int64_t k = 0; k < count; ++k) {
                    const C weight = vertical * share[k];
                    if (weight == C(0)) continue;
                    const T* grad = plane + r * out_row + (first + k) * inner + channel;
                    for (std::int64_t c = 0; c < channels; ++c) sum[c] += weight * static_cast<C>(grad[c]);
                  }
                }
              }
              T* out = dx.as<T>() + row * in_row + (left + w) * inner + channel;
              for (std::int64_t c = 0; c < channels; ++c) out[c] = static_cast<T>(sum[c]);
            }
          }
        }
      }
    });
  });
}

}  // namespace dlcuda::kernels::cpu::DLCUDA_ISA

#include "dlcuda/kernels/bias.h"

#include "dlcuda/kernels/cpu/loops.h"

namespace dlcuda::kernels::cpu::DLCUDA_ISA {
namespace {

/// A dense tensor as (outer, channels, inner) in memory order: inner is 1 for channels-last and for (N, C).
struct ChannelView {
  std::int64_t outer, channels, inner;
};

DLCUDA_INLINE ChannelView channel_view(const TensorView& x) {
  std::int64_t spatial = 1;
  for (int axis = 2; axis < x.rank; ++axis) spatial *= x.shape[axis];
  const bool channels_last = x.rank == 4 && x.strides[1] == 1 && x.strides[3] == x.shape[1] && spatial > 1;
  if (channels_last) return {x.shape[0] * spatial, x.shape[1], 1};
  return {x.shape[0], x.shape[1], spatial};
}

}  // namespace

void bias_add(const TensorView& x, const TensorView& bias, const TensorView& y) {
  const ChannelView v = channel_view(x);
  visit_floating(x.dtype, [&]<typename T>() {
    using C = compute_t<T>;
    const T* from = x.as<const T>();
    const T* __restrict b = bias.as<const T>();
    T* to = y.as<T>();
    const std::int64_t row = v.channels * v.inner;
    parallel_for(v.outer, row > 0 ? kGrain / row + 1 : 1, [=](std::int64_t begin, std::int64_t end) {
      for (std::int64_t n = begin; n < end; ++n) {
        for (std::int64_t c = 0; c < v.channels; ++c) {
          const C value = static_cast<C>(b[c]);
          const std::int64_t at = n * row + c * v.inner;
          for (std::int64_t i = 0; i < v.inner; ++i)
            to[at + i] = static_cast<T>(static_cast<C>(from[at + i]) + value);
        }
      }
    });
  });
}

void bias_backward(const TensorView& dy, const TensorView& db) {
  const ChannelView v = channel_view(dy);
  visit_floating(dy.dtype, [&]<typename T>() {
    using C = compute_t<T>;
    const T* __restrict from = dy.as<const T>();
    T* __restrict to = db.as<T>();
    // Threads share out channels, so that each sum has one order whatever their number.
    parallel_for(v.channels, kGrain / (v.outer * v.inner + 1) + 1, [=](std::int64_t begin, std::int64_t end) {
      constexpr std::int64_t kBlock = 64;
      for (std::int64_t c0 = begin; c0 < end; c0 += kBlock) {
        const std::int64_t count = end - c0 < kBlock ? end - c0 : kBlock;
        C sums[kBlock] = {};
        for (std::int64_t n = 0; n < v.outer; ++n) {
          const T* row = from + (n * v.channels + c0) * v.inner;
          if (v.inner == 1) {
            for (std::int64_t c = 0; c < count; ++c) sums[c] += static_cast<C>(row[c]);
          } else {
            for (std::int64_t c = 0; c < count; ++c) {
              C sum = 0;
              for (std::int64_t i = 0; i < v.inner; ++i) sum += static_cast<C>(row[c * v.inner + i]);
              sums[c] += sum;
            }
          }
        }
        for (std::int64_t c = 0; c < count; ++c) to[c0 + c] = static_cast<T>(sums[c]);
      }
    });
  });
}

}  // namespace dlcuda::kernels::cpu::DLCUDA_ISA

// Loops over (outer, C, inner) in the order of memory, for families with one number a channel. Included like
// loops.h.
#pragma once

#include "dlcuda/kernels/cpu/loops.h"
#include "dlcuda/kernels/functors/moments.h"

namespace dlcuda::kernels::cpu::DLCUDA_ISA {
namespace {

/// What channels-last loops work on at a time: a run of channels that fits a few vector registers.
constexpr std::int64_t kRun = 32;
/// Values that are added up in the type of arithmetic before they go into an f64 sum.
constexpr std::int64_t kBatch = 512;

/// The sum of value(i) for begin <= i < end, in lanes of their own, which the compiler turns into vectors: it
/// may not change an order of addition itself.
template <typename C, typename Value>
DLCUDA_INLINE C lane_sum(std::int64_t begin, std::int64_t end, const Value& value) {
  constexpr int kLanes = 16;
  C lanes[kLanes] = {};
  std::int64_t i = begin;
  for (; i + kLanes <= end; i += kLanes) {
    for (int lane = 0; lane < kLanes; ++lane) lanes[lane] += value(i + lane);
  }
  for (; i < end; ++i) lanes[0] += value(i);
  C sum = 0;
  for (int lane = 0; lane < kLanes; ++lane) sum += lanes[lane];
  return sum;
}

/// body(channel, sums) has to be called for each element: sums[c] += first(i, c), sums2[c] += second(i, c).
/// Here: term(i, c, a, b) gives both for the element at index i; finish(c, sum a, sum b) gets them in f64. In
/// one order, so that the thread count changes nothing.
template <typename C, typename Term, typename Finish>
DLCUDA_INLINE void sum_channels(const TensorView& x, const Term& term, const Finish& finish) {
  const std::int64_t outer = x.shape[0], channels = x.shape[1], inner = x.shape[2];
  const std::int64_t work = outer * inner + 1;
  if (inner > 1) {
    parallel_for(channels, kGrain / work + 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t c = begin; c < end; ++c) {
        double sum_a = 0, sum_b = 0;
        for (std::int64_t o = 0; o < outer; ++o) {
          const std::int64_t first = (o * channels + c) * inner;
          for (std::int64_t from = 0; from < inner; from += kBatch) {
            const std::int64_t to = inner - from < kBatch ? inner - from : kBatch;
            // Lanes of their own, which the compiler turns into vectors: it may not change an order of
            // addition itself.
            C lanes_a[16] = {}, lanes_b[16] = {};
            std::int64_t i = 0;
            for (; i + 16 <= to; i += 16) {
              for (int lane = 0; lane < 16; ++lane) {
                C a, b;
                term(first + from + i + lane, c, a, b);
                lanes_a[lane] += a;
                lanes_b[lane] += b;
              }
            }
            for (; i < to; ++i) {
              C a, b;
              term(first + from + i, c, a, b);
              lanes_a[0] += a;
              lanes_b[0] += b;
            }
            for (int lane = 0; lane < 16; ++lane) {
              sum_a += static_cast<double>(lanes_a[lane]);
              sum_b += static_cast<double>(lanes_b[lane]);
            }
          }
        }
        finish(c, sum_a, sum_b);
      }
    });
    return;
  }
  const std::int64_t runs = (channels + kRun - 1) / kRun;
  parallel_for(runs, kGrain / (work * kRun) + 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t run = begin; run < end; ++run) {
      const std::int64_t first = run * kRun;
      const std::int64_t width = channels - first < kRun ? channels - first : kRun;
      double sum_a[kRun] = {}, sum_b[kRun] = {};
      for (std::int64_t from = 0; from < outer; from += kBatch) {
        const std::int64_t to = outer - from < kBatch ? outer : from + kBatch;
        C part_a[kRun] = {}, part_b[kRun] = {};
        for (std::int64_t o = from; o < to; ++o) {
          for (std::int64_t c = 0; c < width; ++c) {
            C a, b;
            term(o * channels + first + c, first + c, a, b);
            part_a[c] += a;
            part_b[c] += b;
          }
        }
        for (std::int64_t c = 0; c < width; ++c) {
          sum_a[c] += static_cast<double>(part_a[c]);
          sum_b[c] += static_cast<double>(part_b[c]);
        }
      }
      for (std::int64_t c = 0; c < width; ++c) finish(first + c, sum_a[c], sum_b[c]);
    }
  });
}

/// value(i) is the element at index i; finish(c, moments) gets the moments of each channel, in f64. Blocks
/// are reduced in two passes, the second of which finds them in the cache.
template <typename C, typename Value, typename Finish>
DLCUDA_INLINE void channel_moments(const TensorView& x, const Value& value, const Finish& finish) {
  const std::int64_t outer = x.shape[0], channels = x.shape[1], inner = x.shape[2];
  const std::int64_t work = outer * inner + 1;
  if (inner > 1) {
    parallel_for(channels, kGrain / work + 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t c = begin; c < end; ++c) {
        functors::Moments<double> moments;
        for (std::int64_t o = 0; o < outer; ++o) {
          const std::int64_t first = (o * channels + c) * inner;
          for (std::int64_t from = 0; from < inner; from += kBatch) {
            const std::int64_t to = inner - from < kBatch ? inner : from + kBatch;
            const C sum = lane_sum<C>(first + from, first + to, value);
            const C mean = sum / static_cast<C>(to - from);
            const C squares = lane_sum<C>(first + from, first + to, [=](std::int64_t i) {
              const C d = value(i) - mean;
              return d * d;
            });
            moments.merge(
                {static_cast<double>(to - from), static_cast<double>(mean), static_cast<double>(squares)});
          }
        }
        finish(c, moments);
      }
    });
    return;
  }
  constexpr std::int64_t kRows = 64;  // of a run of channels: they stay in the first cache
  const std::int64_t runs = (channels + kRun - 1) / kRun;
  parallel_for(runs, kGrain / (work * kRun) + 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t run = begin; run < end; ++run) {
      const std::int64_t first = run * kRun;
      const std::int64_t width = channels - first < kRun ? channels - first : kRun;
      functors::Moments<double> moments[kRun];
      for (std::int64_t from = 0; from < outer; from += kRows) {
        const std::int64_t to = outer - from < kRows ? outer : from + kRows;
        C mean[kRun] = {}, squares[kRun] = {};
        for (std::int64_t o = from; o < to; ++o) {
          for (std::int64_t c = 0; c < width; ++c) mean[c] += value(o * channels + first + c);
        }
        for (std::int64_t c = 0; c < width; ++c) mean[c] /= static_cast<C>(to - from);
        for (std::int64_t o = from; o < to; ++o) {
          for (std::int64_t c = 0; c < width; ++c) {
            const C d = value(o * channels + first + c) - mean[c];
            squares[c] += d * d;
          }
        }
        for (std::int64_t c = 0; c < width; ++c) {
          moments[c].merge({static_cast<double>(to - from), static_cast<double>(mean[c]),
                            static_cast<double>(squares[c])});
        }
      }
      for (std::int64_t c = 0; c < width; ++c) finish(first + c, moments[c]);
    }
  });
}

/// element(i, shared) for every element at index i, with shared = of_channel(c) of its channel.
template <typename OfChannel, typename Element>
DLCUDA_INLINE void for_channels(const TensorView& x, const OfChannel& of_channel, const Element& element) {
  const std::int64_t channels = x.shape[1], inner = x.shape[2];
  if (inner > 1) {
    parallel_for(x.shape[0] * channels, kGrain / inner + 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t plane = begin; plane < end; ++plane) {
        const auto shared = of_channel(plane % channels);
        for (std::int64_t i = plane * inner; i < (plane + 1) * inner; ++i) element(i, shared);
      }
    });
    return;
  }
  parallel_for(x.shape[0], kGrain / (channels + 1) + 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t o = begin; o < end; ++o) {
      for (std::int64_t c = 0; c < channels; ++c) element(o * channels + c, of_channel(c));
    }
  });
}

}  // namespace
}  // namespace dlcuda::kernels::cpu::DLCUDA_ISA

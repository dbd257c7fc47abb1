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

/// Moments of `rows` rows of kRun values each, `stride` apart, one by column, relative to guess[column]. Two
/// passes, the second of which finds the values in registers or the first cache.
template <typename C, typename T>
DLCUDA_INLINE void column_moments(const T* x, std::int64_t rows, std::int64_t stride, std::int64_t width,
                                  const C (&guess)[kRun], C (&mean)[kRun], C (&squares)[kRun]) {
  for (std::int64_t c = 0; c < kRun; ++c) mean[c] = squares[c] = C(0);
  for (std::int64_t r = 0; r < rows; ++r) {
    for (std::int64_t c = 0; c < width; ++c) mean[c] += static_cast<C>(x[r * stride + c]) - guess[c];
  }
  const C share = C(1) / static_cast<C>(rows);
  for (std::int64_t c = 0; c < width; ++c) mean[c] *= share;
  for (std::int64_t r = 0; r < rows; ++r) {
    for (std::int64_t c = 0; c < width; ++c) {
      const C d = static_cast<C>(x[r * stride + c]) - guess[c] - mean[c];
      squares[c] += d * d;
    }
  }
}

/// finish(c, moments) gets the moments of each channel of x, whose elements are T, in f64.
template <typename T, typename Finish>
DLCUDA_INLINE void channel_moments(const TensorView& view, const Finish& finish) {
  using C = compute_t<T>;
  const T* x = view.as<const T>();
  const std::int64_t outer = view.shape[0], channels = view.shape[1], inner = view.shape[2];
  const std::int64_t work = outer * inner + 1;
  const auto finish_from = [=](std::int64_t c, C guess, functors::Moments<double> moments) {
    moments.mean += static_cast<double>(guess);
    finish(c, moments);
  };
  const auto merge = [](functors::Moments<double>& moments, std::int64_t count, C mean, C squares) {
    moments.merge({static_cast<double>(count), static_cast<double>(mean), static_cast<double>(squares)});
  };
  if (inner > 1) {
    parallel_for(channels, kGrain / work + 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t c = begin; c < end; ++c) {
        const C guess = functors::guess_mean<C>(x, outer, channels, inner, c);
        functors::Moments<double> moments;
        for (std::int64_t o = 0; o < outer; ++o) {
          const T* plane = x + (o * channels + c) * inner;
          for (std::int64_t from = 0; from < inner; from += kBatch) {
            const std::int64_t to = inner - from < kBatch ? inner : from + kBatch;
            const auto value = [=](std::int64_t i) { return static_cast<C>(plane[i]) - guess; };
            const C mean = lane_sum<C>(from, to, value) / static_cast<C>(to - from);
            const C squares = lane_sum<C>(from, to, [=](std::int64_t i) {
              const C d = value(i) - mean;
              return d * d;
            });
            merge(moments, to - from, mean, squares);
          }
        }
        finish_from(c, guess, moments);
      }
    });
    return;
  }
  constexpr std::int64_t kRows = 64;
  const std::int64_t runs = (channels + kRun - 1) / kRun;
  parallel_for(runs, kGrain / (work * kRun) + 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t run = begin; run < end; ++run) {
      const std::int64_t first = run * kRun;
      const std::int64_t width = channels - first < kRun ? channels - first : kRun;
      functors::Moments<double> moments[kRun];
      C guess[kRun];
      for (std::int64_t c = 0; c < width; ++c) {
        guess[c] = functors::guess_mean<C>(x, outer, channels, 1, first + c);
      }
      for (std::int64_t from = 0; from < outer; from += kRows) {
        const std::int64_t rows = outer - from < kRows ? outer - from : kRows;
        const T* block = x + from * channels + first;
        C mean[kRun], squares[kRun];
        if (width == kRun) {  // a constant, so that both stay in registers
          column_moments(block, rows, channels, kRun, guess, mean, squares);
        } else {
          column_moments(block, rows, channels, width, guess, mean, squares);
        }
        for (std::int64_t c = 0; c < width; ++c) merge(moments[c], rows, mean[c], squares[c]);
      }
      for (std::int64_t c = 0; c < width; ++c) finish_from(first + c, guess[c], moments[c]);
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

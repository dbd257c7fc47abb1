// Loops over (outer, C, inner) in the order of memory, for families with one number a channel. Included like
// loops.h.
#pragma once

#include <cstring>
#include <type_traits>

#include "dlcuda/kernels/cpu/loops.h"
#include "dlcuda/kernels/functors/moments.h"

namespace dlcuda::kernels::cpu::DLCUDA_ISA {
namespace {

/// What channels-last sums work on at a time: lanes whose sums stay in registers or the first cache, and wide
/// enough that memory is read in its order.
constexpr std::int64_t kRun = 128;
/// Rows of a run that are added up in the type of arithmetic before they go into f64 sums,
constexpr std::int64_t kRowsAtOnce = 64;
/// rows that are asked for beforehand, since processors see no pattern in runs of rows by themselves,
constexpr std::int64_t kRowsAhead = 12;
/// and values of a plane.
constexpr std::int64_t kBatch = 512;

/// Two neighbouring bf16 as one number: compilers turn loops over numbers of one size into vectors without
/// shuffles.
struct Bf16Pair {
  using Word __attribute__((may_alias, aligned(2))) = std::uint32_t;
  float even, odd;

  static DLCUDA_INLINE Bf16Pair load(const BFloat16* from, std::int64_t pair) {
    const std::uint32_t word = reinterpret_cast<const Word*>(from)[pair];
    return {__builtin_bit_cast(float, word << 16), __builtin_bit_cast(float, word & 0xffff0000u)};
  }
  DLCUDA_INLINE std::uint32_t word() const {
    return rounded_to_bf16<std::uint32_t>(even) >> 16 | (rounded_to_bf16<std::uint32_t>(odd) & 0xffff0000u);
  }
};

/// Where what belongs to element l of `width` lies: for bf16, what belongs to even elements, to odd ones, and
/// to the last one where there is no pair.
template <typename T>
DLCUDA_INLINE std::int64_t place_of(std::int64_t l, std::int64_t width) {
  if (!std::is_same_v<T, BFloat16> || l >= width / 2 * 2) return l;
  return l % 2 * (width / 2) + l / 2;
}

/// One element of each of N tensors, in the type of arithmetic, as Piece gives them.
template <typename C, int N>
struct Numbers {
  static constexpr int kTensors = N;
  C of[N];
  DLCUDA_INLINE C operator()(int n, std::int64_t) const { return of[n]; }
};

/// Up to kMost elements of each of N tensors, from one index on, in the type of arithmetic: piece(n, l).
/// Narrow types are converted in a loop before, because loops over numbers of two sizes are slow.
template <typename T, int N, int kMost>
class Piece {
 public:
  static constexpr int kTensors = N;
  using C = compute_t<T>;
  DLCUDA_INLINE Piece(const T* const (&from)[N], std::int64_t first, std::int64_t width) {
    for (int n = 0; n < N; ++n) {
      if constexpr (kConverted) {
        for (std::int64_t l = 0; l < width; ++l) values_[n][l] = static_cast<C>(from[n][first + l]);
      } else {
        values_[n] = from[n] + first;
      }
    }
  }
  DLCUDA_INLINE C operator()(int n, std::int64_t l) const { return values_[n][l]; }

 private:
  static constexpr bool kConverted = !std::is_same_v<T, C>;
  std::conditional_t<kConverted, C[N][kMost], const C* [N]> values_;
};

/// N tensors that are read side by side.
template <typename T, int N>
struct Streams {
  using Element = T;
  const T* from[N];
  DLCUDA_INLINE void prefetch(std::int64_t first, std::int64_t width) const {
    for (int n = 0; n < N; ++n) cpu::DLCUDA_ISA::prefetch(from[n] + first, width);
  }
  /// body(piece, l, place) for each of `width` elements from `first` on, at most kMost.
  template <int kMost, typename Body>
  DLCUDA_INLINE void for_each(std::int64_t first, std::int64_t width, const Body& body) const {
    if constexpr (std::is_same_v<T, BFloat16>) {
      const std::int64_t pairs = width / 2;
      for (std::int64_t i = 0; i < pairs; ++i) {
        const auto [even, odd] = pair(first, i);
        body(even, 0, i);
        body(odd, 0, pairs + i);
      }
      if (width % 2 == 1) body(piece<1>(first + width - 1, 1), 0, width - 1);
    } else {
      const auto all = piece<kMost>(first, width);
      for (std::int64_t l = 0; l < width; ++l) body(all, l, l);
    }
  }
  struct NumbersPair {
    Numbers<float, N> even, odd;
  };
  /// The elements 2 * i and 2 * i + 1 behind `first`.
  DLCUDA_INLINE NumbersPair pair(std::int64_t first, std::int64_t i) const {
    NumbersPair both;
    for (int n = 0; n < N; ++n) {
      const Bf16Pair one = Bf16Pair::load(from[n] + first, i);
      both.even.of[n] = one.even;
      both.odd.of[n] = one.odd;
    }
    return both;
  }
  template <int kMost>
  DLCUDA_INLINE Piece<T, N, kMost> piece(std::int64_t first, std::int64_t width) const {
    return Piece<T, N, kMost>(from, first, width);
  }
};

/// For terms that read by themselves: their piece is the index of its first element.
struct Indices {
  using Element = float;
  DLCUDA_INLINE void prefetch(std::int64_t, std::int64_t) const {}
  template <int kMost, typename Body>
  DLCUDA_INLINE void for_each(std::int64_t first, std::int64_t width, const Body& body) const {
    for (std::int64_t l = 0; l < width; ++l) body(first, l, l);
  }
  template <int kMost>
  DLCUDA_INLINE std::int64_t piece(std::int64_t first, std::int64_t) const {
    return first;
  }
};

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

/// A channels-last tensor (outer, channels) as `count` rows of `lanes` values: several pixels together where
/// there are few channels, so that narrow tensors fill vectors too. Lane l is channel l % channels; the
/// pixels behind the last whole row, from `rest` on, are the caller's.
struct LaneRows {
  static constexpr std::int64_t kLeast = 128, kMost = 512;  // lanes, where pixels are put together
  std::int64_t channels, lanes, count, rest;

  DLCUDA_INLINE LaneRows(std::int64_t outer, std::int64_t channels_) : channels(channels_) {
    constexpr std::int64_t kLeastRows = 64, kWhole = 32;  // lanes of a register at most
    std::int64_t pixels = 1;
    for (std::int64_t n = 1; n * channels <= kMost && n * kLeastRows <= outer; n *= 2) {
      pixels = n;
      if (n * channels >= kLeast && n * channels % kWhole == 0) break;
    }
    lanes = channels * pixels;
    count = outer / pixels;
    rest = count * pixels;
  }
};

/// body(l, c) for `width` lanes from `first` on, c being the channel of lane first + l. It counts, because a
/// division takes longer than most of what is done with a channel.
template <typename Body>
DLCUDA_INLINE void for_lanes(std::int64_t first, std::int64_t width, std::int64_t channels,
                             const Body& body) {
  std::int64_t c = first % channels;
  for (std::int64_t l = 0; l < width; ++l) {
    body(l, c);
    if (++c == channels) c = 0;
  }
}

/// A whole run, whose width the compiler knows: what is added up stays in registers.
struct FullRun {
  DLCUDA_INLINE operator std::int64_t() const { return kRun; }
};

/// reduce(first lane, width, first row, end of rows, parts) merges some rows of a run of lanes into
/// parts[0..width), which begin as Part::none(); finish(c, part) gets all parts of channel c, merged in an
/// order that only the shape decides.
template <typename Part, typename Reduce, typename Finish>
DLCUDA_INLINE void reduce_lanes(const LaneRows& rows, const Reduce& reduce, const Finish& finish) {
  constexpr std::int64_t kMostTasks = 32, kLeastRows = 512, kGroup = kMostTasks * kRun;
  for (std::int64_t group = 0; group < rows.lanes; group += kGroup) {
    const std::int64_t lanes = rows.lanes - group < kGroup ? rows.lanes - group : kGroup;
    const std::int64_t blocks = (lanes + kRun - 1) / kRun;
    const std::int64_t most = kMostTasks / blocks, useful = rows.count / kLeastRows + 1;
    const std::int64_t chunks = useful < most ? useful : most;
    const std::int64_t share = (rows.count + chunks - 1) / chunks;
    Part parts[kMostTasks][kRun];
    parallel_for(chunks * blocks, kGrain / (share * kRun + 1) + 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t task = begin; task < end; ++task) {
        const std::int64_t first = task % blocks * kRun, chunk = task / blocks * share;
        const std::int64_t width = lanes - first < kRun ? lanes - first : kRun;
        const std::int64_t stop = chunk + share < rows.count ? chunk + share : rows.count;
        for (std::int64_t l = 0; l < width; ++l) parts[task][l] = Part::none();
        for (std::int64_t from = chunk; from < stop; from += kRowsAtOnce) {
          const std::int64_t to = from + kRowsAtOnce < stop ? from + kRowsAtOnce : stop;
          if (width == kRun) {
            reduce(group + first, FullRun(), from, to, parts[task]);
          } else {
            reduce(group + first, width, from, to, parts[task]);
          }
        }
      }
    });
    const std::int64_t channels = lanes < rows.channels ? lanes : rows.channels;
    for (std::int64_t c = 0; c < channels; ++c) {
      Part all = Part::none();
      for (std::int64_t l = c; l < lanes; l += channels) {
        for (std::int64_t chunk = 0; chunk < chunks; ++chunk) {
          all.merge(parts[chunk * blocks + l / kRun][l % kRun]);
        }
      }
      finish(group + c, all);
    }
  }
}

template <int N>
struct Sums {
  double sums[N];
  static Sums none() { return {}; }
  void merge(const Sums& other) {
    for (int n = 0; n < N; ++n) sums[n] += other.sums[n];
  }
};

/// Sums of N terms over each channel: term(piece, l, shared, terms) gives them for element l of a piece of
/// `source`, with shared = of_channel(c) of its channel; finish(c, sums) gets the sums in f64. In one order,
/// so that the thread count changes nothing.
template <typename C, int N, typename Source, typename OfChannel, typename Term, typename Finish>
DLCUDA_INLINE void sum_channels(const TensorView& x, const Source& source, const OfChannel& of_channel,
                                const Term& term, const Finish& finish) {
  using Shared = decltype(of_channel(std::int64_t{0}));
  const std::int64_t outer = x.shape[0], channels = x.shape[1], inner = x.shape[2];
  if (inner > 1) {
    parallel_for(channels, kGrain / (outer * inner + 1) + 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t c = begin; c < end; ++c) {
        const Shared shared = of_channel(c);
        Sums<N> all = Sums<N>::none();
        for (std::int64_t o = 0; o < outer; ++o) {
          const std::int64_t first = (o * channels + c) * inner;
          for (std::int64_t from = 0; from < inner; from += kBatch) {
            const std::int64_t to = inner - from < kBatch ? inner - from : kBatch;
            const auto piece = source.template piece<kBatch>(first + from, to);
            // Lanes of their own, which the compiler turns into vectors: it may not change an order of
            // addition itself.
            constexpr std::int64_t kLanes = 16;
            C lanes[N][kLanes] = {};
            const auto add = [&](std::int64_t i, std::int64_t lane) {
              C terms[N];
              term(piece, i, shared, terms);
              for (int n = 0; n < N; ++n) lanes[n][lane] += terms[n];
            };
            std::int64_t i = 0;
            for (; i + kLanes <= to; i += kLanes) {
              for (std::int64_t lane = 0; lane < kLanes; ++lane) add(i + lane, lane);
            }
            for (; i < to; ++i) add(i, 0);
            for (int n = 0; n < N; ++n) {
              for (const C sum : lanes[n]) all.sums[n] += static_cast<double>(sum);
            }
          }
        }
        finish(c, all.sums);
      }
    });
    return;
  }
  using T = typename Source::Element;
  const LaneRows rows(outer, channels);
  reduce_lanes<Sums<N>>(
      rows,
      [&](std::int64_t first, auto width, std::int64_t from, std::int64_t to, Sums<N>* into) {
        Shared shared[kRun];
        for_lanes(first, width, channels,
                  [&](std::int64_t l, std::int64_t c) { shared[place_of<T>(l, width)] = of_channel(c); });
        C part[N][kRun] = {};
        for (std::int64_t row = from; row < to; ++row) {
          source.prefetch((row + kRowsAhead) * rows.lanes + first, width);
          source.template for_each<kRun>(row * rows.lanes + first, width,
                                         [&](const auto& piece, std::int64_t l, std::int64_t at) {
                                           C terms[N];
                                           term(piece, l, shared[at], terms);
                                           for (int n = 0; n < N; ++n) part[n][at] += terms[n];
                                         });
        }
        for (std::int64_t l = 0; l < width; ++l) {
          const std::int64_t at = place_of<T>(l, width);
          for (int n = 0; n < N; ++n) into[l].sums[n] += static_cast<double>(part[n][at]);
        }
      },
      [&](std::int64_t c, Sums<N>& all) {
        const Shared shared = of_channel(c);
        for (std::int64_t o = rows.rest; o < outer; ++o) {
          C terms[N];
          term(source.template piece<1>(o * channels + c, 1), 0, shared, terms);
          for (int n = 0; n < N; ++n) all.sums[n] += static_cast<double>(terms[n]);
        }
        finish(c, all.sums);
      });
}

/// Moments of up to kRowsAtOnce rows of kRun values each, `stride` apart, one by column, relative to
/// guess[column]; columns have their place_of(). Two passes, the second of which finds the values in the
/// first cache; narrow types have digits to spare, and one is enough where a guess was near.
template <typename C, typename T, typename Width>
DLCUDA_INLINE void column_moments(const T* x, std::int64_t rows, std::int64_t stride, Width width,
                                  const C (&guess)[kRun], C (&mean)[kRun], C (&squares)[kRun]) {
  constexpr bool kNarrow = !std::is_same_v<T, C>;
  const auto each_of = [&](std::int64_t row, const auto& body) {
    Streams<T, 1>{{x + row * stride}}.template for_each<kRun>(
        0, width,
        [&](const auto& piece, std::int64_t l, std::int64_t c) { body(piece(0, l) - guess[c], c); });
  };
  for (std::int64_t c = 0; c < kRun; ++c) mean[c] = squares[c] = C(0);
  for (std::int64_t row = 0; row < rows; ++row) {
    prefetch(x + (row + kRowsAhead) * stride, width);
    each_of(row, [&](C d, std::int64_t c) {
      mean[c] += d;
      if constexpr (kNarrow) squares[c] += d * d;
    });
  }
  const C count = static_cast<C>(rows), share = C(1) / count;
  for (std::int64_t c = 0; c < width; ++c) mean[c] *= share;
  if constexpr (kNarrow) {
    int lost = 0;  // whether the difference costs any column more than six of 24 bits
    for (std::int64_t c = 0; c < width; ++c) {
      const C total = squares[c];
      squares[c] = total - count * mean[c] * mean[c];
      lost |= total > C(64) * squares[c];
    }
    if (lost == 0) return;
    for (std::int64_t c = 0; c < width; ++c) squares[c] = C(0);
  }
  for (std::int64_t row = 0; row < rows; ++row) {
    each_of(row, [&](C d, std::int64_t c) { squares[c] += (d - mean[c]) * (d - mean[c]); });
  }
}

/// finish(c, moments) gets the moments of each channel of x, whose elements are T, in f64.
template <typename T, typename Finish>
DLCUDA_INLINE void channel_moments(const TensorView& view, const Finish& finish) {
  using C = compute_t<T>;
  const T* x = view.as<const T>();
  const std::int64_t outer = view.shape[0], channels = view.shape[1], inner = view.shape[2];
  const auto finish_from = [=](std::int64_t c, C guess, functors::Moments<double> moments) {
    moments.mean += static_cast<double>(guess);
    finish(c, moments);
  };
  const auto merge = [](functors::Moments<double>& moments, std::int64_t count, C mean, C squares) {
    moments.merge({static_cast<double>(count), static_cast<double>(mean), static_cast<double>(squares)});
  };
  if (inner > 1) {
    parallel_for(channels, kGrain / (outer * inner + 1) + 1, [&](std::int64_t begin, std::int64_t end) {
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
  struct Part : functors::Moments<double> {
    C guess;
    static Part none() { return {}; }
  };
  const LaneRows rows(outer, channels);
  reduce_lanes<Part>(
      rows,
      [&](std::int64_t first, auto width, std::int64_t from, std::int64_t to, Part* into) {
        if (into[0].count == 0) {
          for_lanes(first, width, channels, [&](std::int64_t l, std::int64_t c) {
            into[l].guess = functors::guess_mean<C>(x, outer, channels, 1, c);
          });
        }
        C guess[kRun], mean[kRun], squares[kRun];
        for (std::int64_t l = 0; l < width; ++l) guess[place_of<T>(l, width)] = into[l].guess;
        column_moments(x + from * rows.lanes + first, to - from, rows.lanes, width, guess, mean, squares);
        const double count = static_cast<double>(to - from), share = count / (into[0].count + count);
        for (std::int64_t l = 0; l < width; ++l) {
          const std::int64_t at = place_of<T>(l, width);
          into[l].merge({count, static_cast<double>(mean[at]), static_cast<double>(squares[at])}, share);
        }
      },
      [&](std::int64_t c, Part& all) {
        const C guess = functors::guess_mean<C>(x, outer, channels, 1, c);
        for (std::int64_t o = rows.rest; o < outer; ++o) {
          merge(all, 1, static_cast<C>(x[o * channels + c]) - guess, C(0));
        }
        finish_from(c, guess, all);
      });
}

/// What some neighbouring elements' channels share, field by field: a vector of elements reads vectors.
/// Shared consists of C alone.
template <typename Shared, typename C>
class SharedLanes {
 public:
  DLCUDA_INLINE void set(std::int64_t l, const Shared& shared) {
    const Fields fields = __builtin_bit_cast(Fields, shared);
    for (int f = 0; f < kFields; ++f) lanes_[f][l] = fields.of[f];
  }
  DLCUDA_INLINE Shared operator[](std::int64_t l) const {
    Fields fields;
    for (int f = 0; f < kFields; ++f) fields.of[f] = lanes_[f][l];
    return __builtin_bit_cast(Shared, fields);
  }

 private:
  static constexpr int kFields = sizeof(Shared) / sizeof(C);
  struct Fields {
    C of[kFields];
  };
  C lanes_[kFields][LaneRows::kMost];
};

/// The `width` elements from `first` on, at most kMost: `to` gets value(piece, l, place). `to` may be one of
/// the tensors read: each element is read before it is written.
template <int kMost, typename T, int N, typename Value>
DLCUDA_INLINE void map_piece(const Streams<T, N>& source, T* to, std::int64_t first, std::int64_t width,
                             const Value& value) {
  using C = compute_t<T>;
  to += first;
  if constexpr (std::is_same_v<T, BFloat16>) {
    const std::int64_t pairs = width / 2;
    // Memory of its own, of which the compiler knows that nothing else is written.
    std::uint32_t words[kMost / 2 + 1];
    for (std::int64_t i = 0; i < pairs; ++i) {
      const auto [even, odd] = source.pair(first, i);
      words[i] = Bf16Pair{value(even, 0, i), value(odd, 0, pairs + i)}.word();
    }
    std::memcpy(to, words, static_cast<std::size_t>(pairs) * sizeof *words);
    if (width % 2 == 1) {
      const std::int64_t last = width - 1;
      to[last] = static_cast<T>(value(source.template piece<1>(first + last, 1), 0, last));
    }
  } else if constexpr (std::is_same_v<T, C>) {
    const auto piece = source.template piece<kMost>(first, width);
#pragma GCC ivdep
    for (std::int64_t l = 0; l < width; ++l) to[l] = value(piece, l, l);
  } else {
    const auto piece = source.template piece<kMost>(first, width);
    C out[kMost];
    for (std::int64_t l = 0; l < width; ++l) out[l] = value(piece, l, l);
    for (std::int64_t l = 0; l < width; ++l) to[l] = static_cast<T>(out[l]);
  }
}

/// The same for `count` elements.
template <typename T, int N, typename Value>
DLCUDA_INLINE void map_elements(std::int64_t count, const Streams<T, N>& source, T* to, const Value& value) {
  constexpr std::int64_t kMost = LaneRows::kMost;
  parallel_for(count, kGrain, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t first = begin; first < end; first += kMost) {
      map_piece<kMost>(source, to, first, end - first < kMost ? end - first : kMost,
                       [&](const auto& piece, std::int64_t l, std::int64_t) { return value(piece, l); });
    }
  });
}

/// `to` gets element(piece, l, shared) for each element l of the pieces of `source`, with shared =
/// of_channel(c) of its channel. `to` may be one of the tensors read.
template <typename T, int N, typename OfChannel, typename Element>
DLCUDA_INLINE void map_channels(const TensorView& x, const Streams<T, N>& source, T* to,
                                const OfChannel& of_channel, const Element& element) {
  using Shared = decltype(of_channel(std::int64_t{0}));
  constexpr std::int64_t kMost = LaneRows::kMost;
  const std::int64_t channels = x.shape[1], inner = x.shape[2];
  if (inner > 1) {
    parallel_for(x.shape[0] * channels, kGrain / inner + 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t plane = begin; plane < end; ++plane) {
        const Shared shared = of_channel(plane % channels);
        for (std::int64_t from = 0; from < inner; from += kMost) {
          map_piece<kMost>(
              source, to, plane * inner + from, inner - from < kMost ? inner - from : kMost,
              [&](const auto& piece, std::int64_t l, std::int64_t) { return element(piece, l, shared); });
        }
      }
    });
    return;
  }
  const LaneRows rows(x.shape[0], channels);
  // The pixels behind the last whole row are a shorter one.
  const std::int64_t last = (x.shape[0] - rows.rest) * channels, count = rows.count + (last > 0);
  parallel_for(count, kGrain / (rows.lanes + 1) + 1, [&](std::int64_t begin, std::int64_t end) {
    SharedLanes<Shared, compute_t<T>> shared;
    const auto share = [&](std::int64_t first, std::int64_t width) {
      for_lanes(first, width, channels,
                [&](std::int64_t l, std::int64_t c) { shared.set(place_of<T>(l, width), of_channel(c)); });
    };
    for (std::int64_t first = 0; first < rows.lanes; first += kMost) {
      const std::int64_t most = rows.lanes - first < kMost ? rows.lanes - first : kMost;
      share(first, most);
      for (std::int64_t row = begin; row < end; ++row) {
        std::int64_t width = most;
        if (row == rows.count) {
          width = last;
          share(first, width);
        }
        map_piece<kMost>(source, to, row * rows.lanes + first, width,
                         [&](const auto& piece, std::int64_t l, std::int64_t at) {
                           return element(piece, l, shared[at]);
                         });
      }
    }
  });
}

}  // namespace
}  // namespace dlcuda::kernels::cpu::DLCUDA_ISA

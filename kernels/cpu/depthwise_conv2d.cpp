// Built with fused multiply-add, as conv2d_planes.cpp and for the same reasons.
//
// Rows of pixels are walked in the order of memory, a run of channels at a time, whose sums stay in
// registers. Forward and backward data are the same walk: each target pixel adds up the source pixels that
// its taps see.
#include "dlcuda/kernels/cpu/depthwise_conv2d.h"

#include "dlcuda/kernels/cpu/vectors.h"
#include "dlcuda/kernels/functors/activation.h"

namespace dlcuda::kernels::cpu::DLCUDA_ISA {
namespace {

/// Bytes of a register, and channels that it holds in bf16. A tail of 16 channels takes half of the largest.
constexpr int kTail = kVectorBytes < 32 ? kVectorBytes : 32;
template <int kBytes>
constexpr int kRun = kBytes / int(sizeof(BFloat16));

/// body.operator()<kBytes>(c) for all channels, c being the first of a run.
template <typename Body>
DLCUDA_INLINE void for_runs(std::int64_t channels, const Body& body) {
  std::int64_t c = 0;
  for (; c + kRun<kVectorBytes> <= channels; c += kRun<kVectorBytes>) {
    body.template operator()<kVectorBytes>(c);
  }
  if (c < channels) body.template operator()<kTail>(c);
}

/// Where per-channel numbers in f32 have channel c of `channels`: in each run, even ones before odd ones, as
/// Bf16Pairs has them.
DLCUDA_INLINE std::int64_t place_of(std::int64_t c, std::int64_t channels) {
  constexpr std::int64_t kWhole = kRun<kVectorBytes>;
  const std::int64_t first = c / kWhole * kWhole;
  const std::int64_t run = channels - first < kWhole ? std::int64_t(kRun<kTail>) : kWhole;
  return first + (c - first) % 2 * (run / 2) + (c - first) / 2;
}

/// What a pixel has to do with the taps of one axis: sees[t * kernel + k] is the source that target t sees
/// through tap k, or -1.
struct Axis {
  std::int64_t targets, sources, kernel;
  std::int32_t* sees;
  DLCUDA_INLINE const std::int32_t* at(std::int64_t target) const { return sees + target * kernel; }
};

/// `axis` of an image: 0 down, 1 across. `room` is moved behind the table.
DLCUDA_INLINE Axis forward_axis(const TensorView& x, const TensorView& y, const TensorView& weight,
                                const Conv2dParams& p, int axis, std::int32_t*& room) {
  const std::size_t i = static_cast<std::size_t>(axis);
  const Axis a{y.shape[axis + 2], x.shape[axis + 2], weight.shape[axis + 2], room};
  for (std::int64_t t = 0; t < a.targets; ++t) {
    for (std::int64_t k = 0; k < a.kernel; ++k) {
      const std::int64_t s = t * p.stride[i] - p.padding[i] + k * p.dilation[i];
      *room++ = s >= 0 && s < a.sources ? static_cast<std::int32_t>(s) : -1;
    }
  }
  return a;
}

DLCUDA_INLINE Axis backward_axis(const TensorView& dx, const TensorView& dy, const TensorView& weight,
                                 const Conv2dParams& p, int axis, std::int32_t*& room) {
  const std::size_t i = static_cast<std::size_t>(axis);
  const Axis a{dx.shape[axis + 2], dy.shape[axis + 2], weight.shape[axis + 2], room};
  for (std::int64_t t = 0; t < a.targets; ++t) {
    for (std::int64_t k = 0; k < a.kernel; ++k) {
      const std::int64_t d = t + p.padding[i] - k * p.dilation[i], s = d / p.stride[i];
      *room++ = d >= 0 && d % p.stride[i] == 0 && s < a.sources ? static_cast<std::int32_t>(s) : -1;
    }
  }
  return a;
}

/// A weight as (taps, channels) in f32, channels in place_of().
DLCUDA_INLINE void spread_weight(const TensorView& weight, float* to) {
  const BFloat16* from = weight.as<const BFloat16>();
  const std::int64_t channels = weight.shape[0], width = weight.shape[3];
  for (std::int64_t tap = 0; tap < weight.shape[2] * width; ++tap) {
    const std::int64_t at = tap / width * weight.strides[2] + tap % width * weight.strides[3];
    for (std::int64_t c = 0; c < channels; ++c) {
      to[tap * channels + place_of(c, channels)] = static_cast<float>(from[at + c * weight.strides[0]]);
    }
  }
}

/// What a tap adds to a pixel: the source's channels, `from` elements behind its base, times weights.
struct Tap {
  std::int64_t from;
  const float* weight;
};

/// A run of channels of a pixel, from c on.
template <int kBytes>
DLCUDA_INLINE Bf16Pairs<kBytes> add_taps(const BFloat16* base, const Tap* taps, int count, const float* bias,
                                         std::int64_t c) {
  constexpr int kLanes = Simd<float, kBytes>::kLanes;
  Bf16Pairs<kBytes> sum{};
  if (bias) sum = {load<float, kBytes>(bias + c), load<float, kBytes>(bias + c + kLanes)};
  for (int t = 0; t < count; ++t) {
    const auto x = Bf16Pairs<kBytes>::load(base + taps[t].from + c);
    const float* const weight = taps[t].weight + c;
    sum.even += x.even * load<float, kBytes>(weight);
    sum.odd += x.odd * load<float, kBytes>(weight + kLanes);
  }
  return sum;
}

/// A row of three neighbouring taps: where its leftmost source is, and the weights from left to right.
struct TapRow {
  std::int64_t from;
  const float* weights[3];
};

/// The same for kPixels neighbours, which share sources and weights: their sources are kStep apart.
template <int kBytes, int kStep, int kPixels>
DLCUDA_INLINE void add_tap_rows(const BFloat16* base, const TapRow* rows, int count, const float* bias,
                                std::int64_t channels, std::int64_t c, Bf16Pairs<kBytes> (&sum)[kPixels]) {
  constexpr int kLanes = Simd<float, kBytes>::kLanes;
  const auto pair = [c](const float* from) {
    return Bf16Pairs<kBytes>{load<float, kBytes>(from + c), load<float, kBytes>(from + c + kLanes)};
  };
#pragma GCC unroll 8
  for (int p = 0; p < kPixels; ++p) sum[p] = bias ? pair(bias) : Bf16Pairs<kBytes>{};
  for (int i = 0; i < count; ++i) {
    const BFloat16* const from = base + rows[i].from + c;
    const Bf16Pairs<kBytes> weights[3] = {pair(rows[i].weights[0]), pair(rows[i].weights[1]),
                                          pair(rows[i].weights[2])};
#pragma GCC unroll 16
    for (int q = 0; q < (kPixels - 1) * kStep + 3; ++q) {
      const auto x = Bf16Pairs<kBytes>::load(from + q * channels);
#pragma GCC unroll 8
      for (int p = 0; p < kPixels; ++p) {
        const int j = q - p * kStep;
        if (j < 0 || j > 2) continue;
        sum[p].even += x.even * weights[j].even;
        sum[p].odd += x.odd * weights[j].odd;
      }
    }
  }
}

/// to = f(sums(c)) for kPixels neighbours, with sums.operator()<kBytes>(c, sum) for each run.
template <int kPixels, typename F, typename Sums>
DLCUDA_INLINE void write_pixels(std::int64_t channels, BFloat16* to, const F& f, const Sums& sums) {
  constexpr std::int64_t kBlock = 256;
  for (std::int64_t first = 0; first < channels; first += kBlock) {
    const std::int64_t width = channels - first < kBlock ? channels - first : kBlock;
    float values[kPixels][kBlock];
    for_runs(width, [&]<int kBytes>(std::int64_t c) {
      Bf16Pairs<kBytes> sum[kPixels];
      sums.template operator()<kBytes>(first + c, sum);
      for (int p = 0; p < kPixels; ++p) {
        store(values[p] + c, sum[p].even);
        store(values[p] + c + Simd<float, kBytes>::kLanes, sum[p].odd);
      }
    });
    for (int p = 0; p < kPixels; ++p) {
      for (std::int64_t l = 0; l < width; ++l) values[p][l] = f.forward(values[p][l]);
      for_runs(width, [&]<int kBytes>(std::int64_t c) {
        const Bf16Pairs<kBytes> y{load<float, kBytes>(values[p] + c),
                                  load<float, kBytes>(values[p] + c + Simd<float, kBytes>::kLanes)};
        y.store(to + p * channels + first + c);
      });
    }
  }
}

/// The targets that see a source through tap k: begin <= column < end.
struct Columns {
  std::int64_t begin, end;
};
DLCUDA_INLINE Columns columns_of(const Axis& across, std::int64_t k) {
  Columns seen{0, across.targets};
  while (seen.begin < seen.end && across.at(seen.begin)[k] < 0) ++seen.begin;
  while (seen.begin < seen.end && across.at(seen.end - 1)[k] < 0) --seen.end;
  return seen;
}

/// The targets that see one through each of the taps.
DLCUDA_INLINE Columns inner_columns(const Axis& across) {
  Columns inner{0, across.targets};
  for (std::int64_t k = 0; k < across.kernel; ++k) {
    const Columns seen = columns_of(across, k);
    inner.begin = seen.begin > inner.begin ? seen.begin : inner.begin;
    inner.end = seen.end < inner.end ? seen.end : inner.end;
  }
  return inner;
}

/// Asks for `count` elements, and returns where they end.
DLCUDA_INLINE const BFloat16* prefetched(const BFloat16* from, std::int64_t count) {
  constexpr std::int64_t kLine = 64 / sizeof(BFloat16);
  for (std::int64_t i = 0; i < count; i += kLine) __builtin_prefetch(from + i, 0, 2);
  return from + count;
}

/// What gather() does with each row of the target. Columns `period` apart see the same taps, of sources
/// `step` apart.
template <typename F>
struct Gather {
  const TensorView &source, &target;
  Axis down, across;
  const float *weights, *bias;
  std::int64_t period, step;
  F f;

  DLCUDA_INLINE std::int64_t channels() const { return target.shape[1]; }
  DLCUDA_INLINE const BFloat16* image(std::int64_t line) const {
    return source.as<const BFloat16>() + line / down.targets * down.sources * across.sources * channels();
  }
  DLCUDA_INLINE const float* weight(std::int64_t i, std::int64_t j) const {
    return weights + (i * across.kernel + j) * channels();
  }

  /// Whether taps lie side by side, one way or the other, at column `inner`, where there are all of them.
  DLCUDA_INLINE bool has_tap_rows(Columns inner) const {
    if (across.kernel != 3 || period != 1 || step > 2 || inner.begin >= inner.end) return false;
    const std::int32_t* const columns = across.at(inner.begin);
    const std::int32_t way = columns[1] - columns[0];
    return (way == 1 || way == -1) && columns[2] - columns[1] == way;
  }

  /// The lowest row of sources that the next line adds; null where there is none.
  DLCUDA_INLINE const BFloat16* next_row(std::int64_t line) const {
    if (++line == target.shape[0] * down.targets) return nullptr;
    const std::int32_t* const rows = down.at(line % down.targets);
    std::int64_t last = -1;
    for (std::int64_t i = 0; i < down.kernel; ++i) last = rows[i] > last ? rows[i] : last;
    return last < 0 ? nullptr : image(line) + last * across.sources * channels();
  }

  /// The columns of `inner`, several at a time.
  template <int kStep>
  DLCUDA_INLINE void inner_row(std::int64_t line, Columns inner, BFloat16* to) const {
    constexpr int kPixels = 4;
    const std::int32_t *const rows = down.at(line % down.targets), *const columns = across.at(inner.begin);
    const bool ascending = columns[0] < columns[2];
    TapRow taps[kMostDepthwiseTaps];
    int count = 0;
    for (std::int64_t i = 0; i < down.kernel; ++i) {
      if (rows[i] < 0) continue;
      const std::int64_t left = rows[i] * across.sources + columns[ascending ? 0 : 2];
      taps[count++] = {left * channels(),
                       {weight(i, ascending ? 0 : 2), weight(i, 1), weight(i, ascending ? 2 : 0)}};
    }
    const BFloat16 *base = image(line), *ahead = next_row(line);
    const auto write = [&]<int kMost>(std::int64_t column) {
      if (ahead) ahead = prefetched(ahead, kMost * kStep * channels());
      write_pixels<kMost>(channels(), to + column * channels(), f,
                          [&]<int kBytes>(std::int64_t c, Bf16Pairs<kBytes>(&sum)[kMost]) {
                            add_tap_rows<kBytes, kStep>(base, taps, count, bias, channels(), c, sum);
                          });
      base += kMost * kStep * channels();
    };
    std::int64_t column = inner.begin;
    for (; column + kPixels <= inner.end; column += kPixels) write.template operator()<kPixels>(column);
    for (; column < inner.end; ++column) write.template operator()<1>(column);
  }

  /// The columns before and behind `inner`, one by one.
  DLCUDA_INLINE void outer_row(std::int64_t line, Columns inner, BFloat16* to) const {
    const std::int32_t* const rows = down.at(line % down.targets);
    Tap taps[kMostDepthwiseTaps];
    for (std::int64_t phase = 0; phase < period; ++phase) {
      const BFloat16* base = nullptr;
      int count = 0;
      for (std::int64_t column = phase; column < across.targets; column += period) {
        if (column >= inner.begin && column < inner.end) {
          base = nullptr;
          continue;
        }
        const std::int32_t* const columns = across.at(column);
        bool follows = base != nullptr;
        for (std::int64_t j = 0; follows && j < across.kernel; ++j) {
          const std::int32_t before = *(columns + j - period * across.kernel);
          follows = before < 0 ? columns[j] < 0 : columns[j] == before + step;
        }
        if (follows) {
          base += step * channels();
        } else {
          base = image(line);
          count = 0;
          for (std::int64_t i = 0; i < down.kernel; ++i) {
            for (std::int64_t j = 0; rows[i] >= 0 && j < across.kernel; ++j) {
              if (columns[j] < 0) continue;
              taps[count++] = {(rows[i] * across.sources + columns[j]) * channels(), weight(i, j)};
            }
          }
        }
        write_pixels<1>(channels(), to + column * channels(), f,
                        [&]<int kBytes>(std::int64_t c, Bf16Pairs<kBytes>(&sum)[1]) {
                          sum[0] = add_taps<kBytes>(base, taps, count, bias, c);
                        });
      }
    }
  }
};

/// target = f(bias + the sums of what its taps see of source).
template <typename F>
DLCUDA_INLINE void gather(const Gather<F>& g) {
  const std::int64_t row = g.across.targets * g.channels();
  Columns inner = inner_columns(g.across);
  if (!g.has_tap_rows(inner)) inner = {0, 0};
  parallel_for(g.target.shape[0] * g.down.targets, kGrain / row + 1,
               [&](std::int64_t begin, std::int64_t end) {
                 for (std::int64_t line = begin; line < end; ++line) {
                   BFloat16* const to = g.target.template as<BFloat16>() + line * row;
                   if (inner.begin < inner.end) {
                     if (g.step == 1) {
                       g.template inner_row<1>(line, inner, to);
                     } else {
                       g.template inner_row<2>(line, inner, to);
                     }
                   }
                   g.outer_row(line, inner, to);
                 }
               });
}

/// Neighbouring positions of a row: sums[k * channels ...] += dy * x through tap k, for `kTaps` taps and a
/// run of channels.
template <int kBytes, int kTaps>
DLCUDA_INLINE void add_products(const BFloat16* dy, const BFloat16* x, std::int64_t count,
                                std::int64_t channels, std::int64_t x_step, std::int64_t tap_step,
                                float* sums) {
  constexpr int kLanes = Simd<float, kBytes>::kLanes;
  Bf16Pairs<kBytes> sum[kTaps];
#pragma GCC unroll 8
  for (int k = 0; k < kTaps; ++k) {
    const float* const from = sums + k * channels;
    sum[k] = {load<float, kBytes>(from), load<float, kBytes>(from + kLanes)};
  }
  for (std::int64_t i = 0; i < count; ++i, dy += channels, x += x_step) {
    const auto slope = Bf16Pairs<kBytes>::load(dy);
#pragma GCC unroll 8
    for (int k = 0; k < kTaps; ++k) {
      const auto value = Bf16Pairs<kBytes>::load(x + k * tap_step);
      sum[k].even += slope.even * value.even;
      sum[k].odd += slope.odd * value.odd;
    }
  }
#pragma GCC unroll 8
  for (int k = 0; k < kTaps; ++k) {
    store(sums + k * channels, sum[k].even);
    store(sums + k * channels + kLanes, sum[k].odd);
  }
}

/// The rows of y from `begin` to `end` into sums (taps, channels).
DLCUDA_INLINE void add_rows(const TensorView& x, const TensorView& dy, const Axis& down, const Axis& across,
                            const Conv2dParams& p, std::int64_t begin, std::int64_t end, float* sums) {
  const std::int64_t channels = x.shape[1], kernel = across.kernel;
  const std::int64_t x_step = p.stride[1] * channels, tap_step = p.dilation[1] * channels;
  for (std::int64_t line = begin; line < end; ++line) {
    const std::int32_t* const rows = down.at(line % down.targets);
    const BFloat16* const slopes = dy.as<const BFloat16>() + line * across.targets * channels;
    const std::int64_t first_row = line / down.targets * down.sources;
    for_runs(channels, [&]<int kBytes>(std::int64_t c) {
      for (std::int64_t i = 0; i < down.kernel; ++i) {
        if (rows[i] < 0) continue;
        const BFloat16* const row =
            x.as<const BFloat16>() + (first_row + rows[i]) * across.sources * channels + c;
        const auto add = [&]<int kTaps>(std::int64_t j, Columns seen) {
          if (seen.begin >= seen.end) return;
          add_products<kBytes, kTaps>(slopes + seen.begin * channels + c,
                                      row + across.at(seen.begin)[j] * channels, seen.end - seen.begin,
                                      channels, x_step, tap_step, sums + (i * kernel + j) * channels + c);
        };
        for (std::int64_t j = 0; j < kernel;) {
          const std::int64_t taken = kernel - j >= 3 ? 3 : 1;
          Columns common{0, across.targets};
          for (std::int64_t k = j; k < j + taken; ++k) {
            const Columns seen = columns_of(across, k);
            common.begin = seen.begin > common.begin ? seen.begin : common.begin;
            common.end = seen.end < common.end ? seen.end : common.end;
          }
          if (common.begin > common.end) common.end = common.begin;
          if (taken == 3) {
            add.template operator()<3>(j, common);
            for (std::int64_t k = j; k < j + 3; ++k) {
              const Columns seen = columns_of(across, k);
              add.template operator()<1>(k, {seen.begin, seen.end < common.begin ? seen.end : common.begin});
              add.template operator()<1>(k, {seen.begin > common.end ? seen.begin : common.end, seen.end});
            }
          } else {
            add.template operator()<1>(j, common);
          }
          j += taken;
        }
      }
    });
  }
}

}  // namespace

void depthwise_forward(const TensorView& x, const TensorView& weight, const TensorView& bias,
                       const TensorView& y, const DepthwiseParams& params,
                       const ActivationParams& activation) {
  const std::int64_t channels = x.shape[1], taps = weight.shape[2] * weight.shape[3];
  float* const weights = static_cast<float*>(params.scratch);
  float* const biases = weights + taps * channels;
  spread_weight(weight, weights);
  if (bias.data) {
    visit_floating(bias.dtype, [&]<typename B>() {
      for (std::int64_t c = 0; c < channels; ++c)
        biases[place_of(c, channels)] = static_cast<float>(bias.as<const B>()[c]);
    });
  }
  std::int32_t* room = reinterpret_cast<std::int32_t*>(biases + channels);
  const Axis down = forward_axis(x, y, weight, params.conv, 0, room);
  const Axis across = forward_axis(x, y, weight, params.conv, 1, room);
  functors::visit_fused_activation<float>(activation, [&](auto f) {
    gather(Gather<decltype(f)>{x, y, down, across, weights, bias.data ? biases : nullptr, 1,
                               params.conv.stride[1], f});
  });
}

void depthwise_backward_data(const TensorView& dy, const TensorView& weight, const TensorView& dx,
                             const DepthwiseParams& params) {
  const std::int64_t channels = dx.shape[1], taps = weight.shape[2] * weight.shape[3];
  float* const weights = static_cast<float*>(params.scratch);
  spread_weight(weight, weights);
  std::int32_t* room = reinterpret_cast<std::int32_t*>(weights + taps * channels);
  const Axis down = backward_axis(dx, dy, weight, params.conv, 0, room);
  const Axis across = backward_axis(dx, dy, weight, params.conv, 1, room);
  gather(Gather<functors::Identity<float>>{
      dy, dx, down, across, weights, nullptr, params.conv.stride[1], 1, {}});
}

void depthwise_backward_weight(const TensorView& x, const TensorView& dy, const TensorView& dw,
                               const DepthwiseParams& params) {
  const std::int64_t channels = x.shape[1], width = dw.shape[3], weights = dw.numel();
  float* const sums = static_cast<float*>(params.scratch);
  std::int32_t* room = reinterpret_cast<std::int32_t*>(sums + kDepthwiseChunks * weights);
  const Axis down = forward_axis(x, dy, dw, params.conv, 0, room);
  const Axis across = forward_axis(x, dy, dw, params.conv, 1, room);
  // The shape alone decides what is added up together, so that the thread count changes no bit.
  const std::int64_t lines = dy.shape[0] * down.targets;
  const std::int64_t share = (lines + kDepthwiseChunks - 1) / kDepthwiseChunks;
  const std::int64_t chunks = (lines + share - 1) / share;
  parallel_for(chunks, kGrain / (share * across.targets * channels + 1) + 1,
               [&](std::int64_t begin, std::int64_t end) {
                 for (std::int64_t chunk = begin; chunk < end; ++chunk) {
                   float* const part = sums + chunk * weights;
                   std::memset(part, 0, static_cast<std::size_t>(weights) * sizeof(float));
                   const std::int64_t first = chunk * share;
                   add_rows(x, dy, down, across, params.conv, first,
                            first + share < lines ? first + share : lines, part);
                 }
               });
  constexpr std::int64_t kLanes = 16;
  parallel_for(weights / kLanes, kGrain / kLanes, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t run = begin * kLanes; run < end * kLanes; run += kLanes) {
      double total[kLanes] = {};
      for (std::int64_t chunk = 0; chunk < chunks; ++chunk) {
        for (int l = 0; l < kLanes; ++l) total[l] += static_cast<double>(sums[chunk * weights + run + l]);
      }
      for (int l = 0; l < kLanes; ++l) sums[run + l] = static_cast<float>(total[l]);
    }
  });
  for (std::int64_t tap = 0; tap < weights / channels; ++tap) {
    BFloat16* const to = dw.as<BFloat16>() + tap / width * dw.strides[2] + tap % width * dw.strides[3];
    for (std::int64_t c = 0; c < channels; ++c) {
      to[c * dw.strides[0]] = BFloat16(sums[tap * channels + place_of(c, channels)]);
    }
  }
}

}  // namespace dlcuda::kernels::cpu::DLCUDA_ISA

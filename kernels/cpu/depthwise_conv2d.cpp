// Built with fused multiply-add, as conv2d_planes.cpp and for the same reasons.
//
// Rows of pixels are walked in the order of memory, a run of channels at a time, whose sums stay in
// registers. Forward and backward data are the same walk: each target pixel adds up the source pixels that
// its taps see.
#include "dlcuda/kernels/cpu/depthwise_conv2d.h"

#include "dlcuda/kernels/cpu/vectors.h"

namespace dlcuda::kernels::cpu::DLCUDA_ISA {
namespace {

/// Bytes of a register, and channels that it holds in bf16. A tail of 16 channels takes half of the largest.
constexpr int kTail = kVectorBytes < 32 ? kVectorBytes : 32;
template <int kBytes>
constexpr int kRun = Bf16Pairs<kBytes>::kCount;
template <int kBytes>
constexpr int kLanes = Simd<float, kBytes>::kLanes;
static_assert(kDepthwiseRun % kRun<kTail> == 0 && kRun<kVectorBytes> <= 2 * kDepthwiseRun,
              "what is left behind whole registers is one tail");

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

template <int kBytes>
DLCUDA_INLINE Bf16Pairs<kBytes> load_pairs(const float* from) {
  return {load<float, kBytes>(from), load<float, kBytes>(from + kLanes<kBytes>)};
}
template <int kBytes>
DLCUDA_INLINE void store_pairs(float* to, const Bf16Pairs<kBytes>& pairs) {
  store(to, pairs.even);
  store(to + kLanes<kBytes>, pairs.odd);
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

/// Which sources the targets along one axis see: outputs the inputs, or inputs the outputs.
struct Axis {
  std::int64_t targets, sources, kernel, stride, padding, dilation;
  bool backward;

  /// `axis`: 0 down, 1 across.
  DLCUDA_INLINE Axis(const TensorView& target, const TensorView& source, const TensorView& weight,
                     const Conv2dParams& p, int axis, bool backward_)
      : targets(target.shape[axis + 2]),
        sources(source.shape[axis + 2]),
        kernel(weight.shape[axis + 2]),
        stride(p.stride[static_cast<std::size_t>(axis)]),
        padding(p.padding[static_cast<std::size_t>(axis)]),
        dilation(p.dilation[static_cast<std::size_t>(axis)]),
        backward(backward_) {}

  /// Targets `period` apart see sources `step` apart through the same taps.
  DLCUDA_INLINE std::int64_t period() const { return backward ? stride : 1; }
  DLCUDA_INLINE std::int64_t step() const { return backward ? 1 : stride; }

  /// Whether tap k leads from target t to a source, which may lie in the padding.
  DLCUDA_INLINE bool leads(std::int64_t t, std::int64_t k) const {
    return !backward || (t + padding - k * dilation) % stride == 0;
  }
  DLCUDA_INLINE std::int64_t source(std::int64_t t, std::int64_t k) const {
    return backward ? (t + padding - k * dilation) / stride : t * stride - padding + k * dilation;
  }
  DLCUDA_INLINE bool has(std::int64_t s) const { return s >= 0 && s < sources; }
};

/// Neighbouring taps of a row of sources, from left to right.
struct TapRow {
  const BFloat16* row;
  std::int64_t column;   // that the first pixel sees through the first tap
  const float* weights;  // of the first tap; those of the next are `next` behind
  std::int64_t next;
};

/// A run of channels from c on for kPixels targets: what `kTaps` taps of each row add to the bias. The pixels
/// see sources kStep apart, the first one those `ahead` of TapRow's; the padding adds nothing.
template <int kBytes, int kTaps, int kStep, int kPixels>
DLCUDA_INLINE void add_rows(const TapRow* rows, int count, std::int64_t ahead, std::int64_t width,
                            std::int64_t channels, std::int64_t c, const float* bias,
                            Bf16Pairs<kBytes> (&sum)[kPixels]) {
  constexpr int kColumns = (kPixels - 1) * kStep + kTaps;
#pragma GCC unroll 8
  for (int p = 0; p < kPixels; ++p) sum[p] = bias ? load_pairs<kBytes>(bias + c) : Bf16Pairs<kBytes>{};
  for (int i = 0; i < count; ++i) {
    const TapRow& row = rows[i];
    const std::int64_t left = row.column + ahead;
    const BFloat16* const from = row.row + left * channels + c;
    Bf16Pairs<kBytes> weights[kTaps];
#pragma GCC unroll 8
    for (int j = 0; j < kTaps; ++j) weights[j] = load_pairs<kBytes>(row.weights + j * row.next + c);
#pragma GCC unroll 16
    for (int q = 0; q < kColumns; ++q) {
      if (left + q < 0 || left + q >= width) continue;
      const auto x = Bf16Pairs<kBytes>::load(from + q * channels);
#pragma GCC unroll 8
      for (int p = 0; p < kPixels; ++p) {
        const int j = q - p * kStep;
        if (j < 0 || j >= kTaps) continue;
        sum[p].even += x.even * weights[j].even;
        sum[p].odd += x.odd * weights[j].odd;
      }
    }
  }
}

/// kPixels targets `apart` elements from each other: the sums through the activation.
template <int kPixels, typename Sums>
DLCUDA_INLINE void write_pixels(std::int64_t channels, BFloat16* to, std::int64_t apart,
                                const PiecewiseLinear& activation, const Sums& sums) {
  const bool changes = !activation.is_identity();
  for_runs(channels, [&]<int kBytes>(std::int64_t c) {
    Bf16Pairs<kBytes> sum[kPixels];
    sums.template operator()<kBytes>(c, sum);
    for (int p = 0; p < kPixels; ++p) {
      if (changes) sum[p] = {activation(sum[p].even), activation(sum[p].odd)};
      sum[p].store(to + p * apart + c);
    }
  });
}

/// target = f(bias + the sums of what its taps see of source).
struct Gather {
  const TensorView &source, &target;
  Axis down, across;
  const float *weights, *bias;
  PiecewiseLinear activation;

  DLCUDA_INLINE std::int64_t channels() const { return target.shape[1]; }
  DLCUDA_INLINE std::int64_t lines() const { return target.shape[0] * down.targets; }

  DLCUDA_INLINE const BFloat16* source_row(std::int64_t line, std::int64_t row) const {
    return source.as<const BFloat16>() +
           (line / down.targets * down.sources + row) * across.sources * channels();
  }

  /// The lowest row of sources that a line sees; null where there is none.
  DLCUDA_INLINE const BFloat16* last_row(std::int64_t line) const {
    if (line == lines()) return nullptr;
    std::int64_t last = -1;
    for (std::int64_t i = 0; i < down.kernel; ++i) {
      const std::int64_t t = line % down.targets, s = down.source(t, i);
      if (down.leads(t, i) && down.has(s) && s > last) last = s;
    }
    return last < 0 ? nullptr : source_row(line, last);
  }

  /// The columns of one phase: phase, phase + period ...
  template <int kTaps, int kStep>
  DLCUDA_INLINE void write_columns(std::int64_t line, std::int64_t phase, const TapRow* rows,
                                   int count) const {
    const std::int64_t apart = across.period() * channels(), width = across.sources;
    const std::int64_t columns = (across.targets - phase + across.period() - 1) / across.period();
    BFloat16* const to = target.as<BFloat16>() + (line * across.targets + phase) * channels();
    const BFloat16* const ahead = phase == 0 ? last_row(line + 1) : nullptr;
    const auto write = [&]<int kPixels>(std::int64_t column) {
      const std::int64_t from = column * across.step(), to_ask = kPixels * across.step();
      if (ahead && from + to_ask <= width) prefetch<true>(ahead + from * channels(), to_ask * channels());
      write_pixels<kPixels>(channels(), to + column * apart, apart, activation,
                            [&]<int kBytes>(std::int64_t c, Bf16Pairs<kBytes>(&sum)[kPixels]) {
                              add_rows<kBytes, kTaps, kStep>(rows, count, column * across.step(), width,
                                                             channels(), c, bias, sum);
                            });
    };
    std::int64_t column = 0;
    if (across.step() == kStep) {
      for (; column + 4 <= columns; column += 4) write.template operator()<4>(column);
      for (; column + 2 <= columns; column += 2) write.template operator()<2>(column);
    }
    for (; column < columns; ++column) write.template operator()<1>(column);
  }

  DLCUDA_INLINE void write_line(std::int64_t line) const {
    const std::int64_t step_down = across.kernel * channels();
    for (std::int64_t phase = 0; phase < across.period() && phase < across.targets; ++phase) {
      // Taps from left to right, and how many of them there are if they see neighbours.
      std::int64_t taps[kMostDepthwiseTaps];
      int count = 0;
      bool neighbours = true;
      for (std::int64_t j = 0; j < across.kernel; ++j) {
        const std::int64_t k = across.backward ? across.kernel - 1 - j : j;
        if (!across.leads(phase, k)) continue;
        neighbours = neighbours &&
                     (count == 0 || across.source(phase, k) == across.source(phase, taps[count - 1]) + 1);
        taps[count++] = k;
      }
      const int together = neighbours && count >= 1 && count <= 5 ? count : 1;
      TapRow rows[kMostDepthwiseTaps];
      int used = 0;
      for (std::int64_t i = 0; i < down.kernel; ++i) {
        const std::int64_t t = line % down.targets;
        if (!down.leads(t, i) || !down.has(down.source(t, i))) continue;
        for (int j = 0; j < count; j += together) {
          rows[used++] = {source_row(line, down.source(t, i)), across.source(phase, taps[j]),
                          weights + i * step_down + taps[j] * channels(),
                          together > 1 ? (taps[j + 1] - taps[j]) * channels() : 0};
        }
      }
      const auto write = [&]<int kTaps>() {
        if (across.step() == 2) {
          write_columns<kTaps, 2>(line, phase, rows, used);
        } else {
          write_columns<kTaps, 1>(line, phase, rows, used);
        }
      };
      switch (together) {
        case 2:
          write.template operator()<2>();
          break;
        case 3:
          write.template operator()<3>();
          break;
        case 4:
          write.template operator()<4>();
          break;
        case 5:
          write.template operator()<5>();
          break;
        default:
          write.template operator()<1>();
          break;
      }
    }
  }
};

void gather(const Gather& g) {
  parallel_for(g.lines(), kGrain / (g.across.targets * g.channels()) + 1,
               [&](std::int64_t begin, std::int64_t end) {
                 for (std::int64_t line = begin; line < end; ++line) g.write_line(line);
               });
}

/// Neighbouring positions of a row: sums[k * channels ...] += dy * x through tap k, for `kTaps` taps and a
/// run of channels.
template <int kBytes, int kTaps>
DLCUDA_INLINE void add_products(const BFloat16* dy, const BFloat16* x, std::int64_t count,
                                std::int64_t channels, std::int64_t x_step, std::int64_t tap_step,
                                float* sums) {
  Bf16Pairs<kBytes> sum[kTaps];
#pragma GCC unroll 8
  for (int k = 0; k < kTaps; ++k) sum[k] = load_pairs<kBytes>(sums + k * channels);
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
  for (int k = 0; k < kTaps; ++k) store_pairs(sums + k * channels, sum[k]);
}

/// Outputs of a row: begin <= column < end.
struct Columns {
  std::int64_t begin, end;

  /// Those that see an input through tap k. Both ends move to the left with k, also where there are none.
  static DLCUDA_INLINE Columns through(const Axis& across, std::int64_t k) {
    Columns seen{0, 0};
    while (seen.begin < across.targets && across.source(seen.begin, k) < 0) ++seen.begin;
    seen.end = seen.begin;
    while (seen.end < across.targets && across.has(across.source(seen.end, k))) ++seen.end;
    return seen;
  }
  DLCUDA_INLINE Columns and_before(std::int64_t column) const { return {begin, end < column ? end : column}; }
  DLCUDA_INLINE Columns and_from(std::int64_t column) const { return {begin > column ? begin : column, end}; }
};

/// What the lines of dy from `begin` to `end` add to the sums (taps, channels).
DLCUDA_INLINE void add_lines(const TensorView& x, const TensorView& dy, const Axis& down, const Axis& across,
                             std::int64_t begin, std::int64_t end, float* sums) {
  const std::int64_t channels = x.shape[1], kernel = across.kernel;
  const std::int64_t x_step = across.stride * channels, tap_step = across.dilation * channels;
  Columns seen[kMostDepthwiseTaps];
  for (std::int64_t k = 0; k < kernel; ++k) seen[k] = Columns::through(across, k);
  for (std::int64_t line = begin; line < end; ++line) {
    const BFloat16* const slopes = dy.as<const BFloat16>() + line * across.targets * channels;
    const std::int64_t image = line / down.targets * down.sources;
    for_runs(channels, [&]<int kBytes>(std::int64_t c) {
      for (std::int64_t i = 0; i < down.kernel; ++i) {
        const std::int64_t s = down.source(line % down.targets, i);
        if (!down.has(s)) continue;
        const BFloat16* const row = x.as<const BFloat16>() + (image + s) * across.sources * channels + c;
        const auto add = [&]<int kTaps>(std::int64_t j, Columns columns) {
          if (columns.begin >= columns.end) return;
          add_products<kBytes, kTaps>(slopes + columns.begin * channels + c,
                                      row + across.source(columns.begin, j) * channels,
                                      columns.end - columns.begin, channels, x_step, tap_step,
                                      sums + (i * kernel + j) * channels + c);
        };
        std::int64_t j = 0;
        for (; j + 3 <= kernel; j += 3) {
          const Columns all{seen[j].begin, seen[j + 2].end > seen[j].begin ? seen[j + 2].end : seen[j].begin};
          add.template operator()<3>(j, all);
          for (std::int64_t k = j; k < j + 3; ++k) {
            add.template operator()<1>(k, seen[k].and_before(all.begin));
            add.template operator()<1>(k, seen[k].and_from(all.end));
          }
        }
        for (; j < kernel; ++j) add.template operator()<1>(j, seen[j]);
      }
    });
  }
}

void forward(const TensorView& x, const TensorView& weight, const TensorView& bias, const TensorView& y,
             const DepthwiseParams& params, const PiecewiseLinear& activation) {
  const std::int64_t channels = x.shape[1];
  float* const weights = static_cast<float*>(params.scratch);
  float* const biases = weights + weight.numel();
  spread_weight(weight, weights);
  if (bias.data) {
    visit_floating(bias.dtype, [&]<typename B>() {
      for (std::int64_t c = 0; c < channels; ++c) {
        biases[place_of(c, channels)] = static_cast<float>(bias.as<const B>()[c]);
      }
    });
  }
  gather({x, y, Axis(y, x, weight, params.conv, 0, false), Axis(y, x, weight, params.conv, 1, false), weights,
          bias.data ? biases : nullptr, activation});
}

void backward_data(const TensorView& dy, const TensorView& weight, const TensorView& dx,
                   const DepthwiseParams& params) {
  float* const weights = static_cast<float*>(params.scratch);
  spread_weight(weight, weights);
  gather({dy,
          dx,
          Axis(dx, dy, weight, params.conv, 0, true),
          Axis(dx, dy, weight, params.conv, 1, true),
          weights,
          nullptr,
          {}});
}

void backward_weight(const TensorView& x, const TensorView& dy, const TensorView& dw,
                     const DepthwiseParams& params) {
  const std::int64_t channels = x.shape[1], width = dw.shape[3], weights = dw.numel();
  float* const sums = static_cast<float*>(params.scratch);
  const Axis down(dy, x, dw, params.conv, 0, false), across(dy, x, dw, params.conv, 1, false);
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
                   add_lines(x, dy, down, across, first, first + share < lines ? first + share : lines, part);
                 }
               });
  constexpr std::int64_t kAtOnce = kDepthwiseRun;
  parallel_for(weights / kAtOnce, kGrain / kAtOnce, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t run = begin * kAtOnce; run < end * kAtOnce; run += kAtOnce) {
      double total[kAtOnce] = {};
      for (std::int64_t chunk = 0; chunk < chunks; ++chunk) {
        for (int l = 0; l < kAtOnce; ++l) total[l] += static_cast<double>(sums[chunk * weights + run + l]);
      }
      for (int l = 0; l < kAtOnce; ++l) sums[run + l] = static_cast<float>(total[l]);
    }
  });
  for (std::int64_t tap = 0; tap < weights / channels; ++tap) {
    BFloat16* const to = dw.as<BFloat16>() + tap / width * dw.strides[2] + tap % width * dw.strides[3];
    for (std::int64_t c = 0; c < channels; ++c) {
      to[c * dw.strides[0]] = BFloat16(sums[tap * channels + place_of(c, channels)]);
    }
  }
}

}  // namespace

DepthwiseLoops depthwise_loops() { return {forward, backward_data, backward_weight}; }

}  // namespace dlcuda::kernels::cpu::DLCUDA_ISA

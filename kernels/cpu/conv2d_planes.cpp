// Built with fused multiply-add, unlike the other loops: these are long sums of products, as in the libraries
// that do larger convolutions, and no CUDA kernel has to give the same bits.
#include "dlcuda/kernels/cpu/conv2d_planes.h"

#include <cstring>

#include "dlcuda/kernels/cpu/vectors.h"
#include "dlcuda/kernels/functors/activation.h"

namespace dlcuda::kernels::cpu::DLCUDA_ISA {
namespace {

constexpr int kLanes = Simd<float>::kLanes;
using Floats = Vector<float>;

/// Vectors of positions that are in work at once; with 8 output channels their sums fill the registers of
/// AVX-512.
constexpr int kVectors = kLanes == 16 ? 3 : 2;
constexpr int kStep = kVectors * kLanes;
static_assert(kStep <= kPlanesBlock);

/// `in_*` are the extents of the padded input.
struct PlanesGeometry {
  std::int64_t batch, in_channels, out_channels, in_height, in_width, kernel_height, kernel_width;
  DLCUDA_INLINE std::int64_t out_height() const { return in_height - kernel_height + 1; }
  DLCUDA_INLINE std::int64_t out_width() const { return in_width - kernel_width + 1; }
};

/// Copies (channels, height, width) into planes of `pitch` columns at (top, left); everything else becomes 0.
DLCUDA_INLINE void expand(const float* from, std::int64_t channels, std::int64_t height, std::int64_t width,
                          float* to, std::int64_t plane, std::int64_t pitch, std::int64_t top,
                          std::int64_t left) {
  const auto bytes = [](std::int64_t floats) { return static_cast<std::size_t>(floats) * sizeof(float); };
  for (std::int64_t c = 0; c < channels; ++c) {
    const float* source = from + c * height * width;
    float* target = to + c * plane;
    const std::int64_t rows = width == pitch ? 1 : height, length = height * width / rows;
    const std::int64_t step = width == pitch ? plane : pitch;
    std::int64_t done = 0;
    for (std::int64_t row = 0; row < rows; ++row) {
      const std::int64_t at = top * pitch + row * step + left;
      std::memset(target + done, 0, bytes(at - done));
      std::memcpy(target + at, source + row * length, bytes(length));
      done = at + length;
    }
    std::memset(target + done, 0, bytes(plane - done));
  }
}

/// Correlates input planes with `Outputs` filters: out[o][p] = bias[o] + sum of w[c][i][j][o] * in[c][p + i
/// pitch + j]. `w` is (C, KH, KW, all outputs), already at the first filter of this group.
template <int Outputs>
DLCUDA_INLINE void correlate(const PlanesGeometry& g, const float* in, std::int64_t in_plane, const float* w,
                             const float* bias, float* out, std::int64_t out_plane, std::int64_t positions) {
  for (std::int64_t p = 0; p < positions; p += kStep) {
    Floats sum[Outputs][kVectors];
#pragma GCC unroll 8
    for (int o = 0; o < Outputs; ++o) {
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) sum[o][v] = Floats{} + (bias ? bias[o] : 0.0f);
    }
    const float* tap = w;
    for (std::int64_t c = 0; c < g.in_channels; ++c) {
      for (std::int64_t i = 0; i < g.kernel_height; ++i) {
        const float* row = in + c * in_plane + i * g.in_width + p;
        for (std::int64_t j = 0; j < g.kernel_width; ++j, tap += g.out_channels) {
          Floats x[kVectors];
#pragma GCC unroll 4
          for (int v = 0; v < kVectors; ++v) x[v] = load(row + j + v * kLanes);
#pragma GCC unroll 8
          for (int o = 0; o < Outputs; ++o) {
#pragma GCC unroll 4
            for (int v = 0; v < kVectors; ++v) sum[o][v] += x[v] * tap[o];
          }
        }
      }
    }
#pragma GCC unroll 8
    for (int o = 0; o < Outputs; ++o) {
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) store(out + o * out_plane + p + v * kLanes, sum[o][v]);
    }
  }
}

void correlate_all(const PlanesGeometry& g, const float* in, std::int64_t in_plane, const float* w,
                   const float* bias, float* out, std::int64_t out_plane) {
  const std::int64_t positions = g.out_height() * g.in_width;
  for (std::int64_t o = 0; o < g.out_channels;) {
    const std::int64_t left = g.out_channels - o;
    const float* b = bias ? bias + o : nullptr;
    float* to = out + o * out_plane;
    if (left >= 8) {
      correlate<8>(g, in, in_plane, w + o, b, to, out_plane, positions);
      o += 8;
    } else if (left >= 6) {
      correlate<6>(g, in, in_plane, w + o, b, to, out_plane, positions);
      o += 6;
    } else if (left >= 3) {
      correlate<3>(g, in, in_plane, w + o, b, to, out_plane, positions);
      o += 3;
    } else {
      correlate<1>(g, in, in_plane, w + o, b, to, out_plane, positions);
      o += 1;
    }
  }
}

/// The sizes of one thread's scratch planes.
struct Scratch {
  std::int64_t in_plane, out_plane, in_size, out_size;
  explicit Scratch(const PlanesGeometry& g)
      : in_plane(g.in_height * g.in_width),
        // A multiple of a vector, so that planes that begin aligned stay aligned.
        out_plane((g.out_height() * g.in_width / kPlanesBlock + 1) * kPlanesBlock),
        // The last taps of the last block of the last plane reach beyond it.
        in_size(((g.in_channels * in_plane + g.kernel_width) / kPlanesBlock + 2) * kPlanesBlock),
        out_size(g.out_channels * out_plane) {}
};

/// The expanded planes of several images.
struct Images {
  const float* dy;
  const float* x;
  std::int64_t count, positions, dy_plane, dy_image, x_image;
};

/// Sums over positions: dw[o][j] += dy[o][p] * x[p + j] for `Outputs` filters and `Taps` columns of one
/// kernel row, lane by lane in `sums` (o, taps of a whole filter, lanes).
template <int Outputs, int Taps>
DLCUDA_INLINE void correlate_gradients(const Images& images, std::int64_t column, float* sums,
                                       std::int64_t filter) {
  Floats sum[Outputs][Taps];
#pragma GCC unroll 8
  for (int o = 0; o < Outputs; ++o) {
#pragma GCC unroll 8
    for (int j = 0; j < Taps; ++j) sum[o][j] = load(sums + (o * filter + j) * kLanes);
  }
  for (std::int64_t image = 0; image < images.count; ++image) {
    const float* dy = images.dy + image * images.dy_image;
    const float* x = images.x + image * images.x_image + column;
    for (std::int64_t p = 0; p < images.positions; p += kLanes) {
      Floats slope[Outputs];
#pragma GCC unroll 8
      for (int o = 0; o < Outputs; ++o) slope[o] = load(dy + o * images.dy_plane + p);
#pragma GCC unroll 8
      for (int j = 0; j < Taps; ++j) {
        Floats value = load(x + p + j);
        asm(""
            : "+v"(value));  // kept in a register: compilers would load it again, unaligned, for every filter
#pragma GCC unroll 8
        for (int o = 0; o < Outputs; ++o) sum[o][j] += slope[o] * value;
      }
    }
  }
#pragma GCC unroll 8
  for (int o = 0; o < Outputs; ++o) {
#pragma GCC unroll 8
    for (int j = 0; j < Taps; ++j) store(sums + (o * filter + j) * kLanes, sum[o][j]);
  }
}

/// One kernel row of `Outputs` filters, five, three or one column at a time.
template <int Outputs>
DLCUDA_INLINE void gradient_row(const Images& images, float* sums, std::int64_t filter, std::int64_t width) {
  std::int64_t j = 0;
  for (; width - j >= 5; j += 5) correlate_gradients<Outputs, 5>(images, j, sums + j * kLanes, filter);
  for (; width - j >= 3; j += 3) correlate_gradients<Outputs, 3>(images, j, sums + j * kLanes, filter);
  for (; j < width; ++j) correlate_gradients<Outputs, 1>(images, j, sums + j * kLanes, filter);
}

/// All filters, four, three or one at a time; `images` has dy at filter 0, x and `sums` at one kernel row.
void gradient_rows(Images images, float* sums, std::int64_t outputs, std::int64_t filter,
                   std::int64_t width) {
  for (std::int64_t o = 0; o < outputs;) {
    const std::int64_t left = outputs - o, taken = left == 6 || left == 3 ? 3 : (left >= 4 ? 4 : 1);
    float* to = sums + o * filter * kLanes;
    if (taken == 4) gradient_row<4>(images, to, filter, width);
    if (taken == 3) gradient_row<3>(images, to, filter, width);
    if (taken == 1) gradient_row<1>(images, to, filter, width);
    images.dy += taken * images.dy_plane;
    o += taken;
  }
}

/// plane j [p] += sum over o of w[o][j] * dy[o][p] for `Taps` columns j of one kernel row, each column in a
/// plane of its own: added to one plane, a column's store would overlap the next one's load, which processors
/// wait for. `w` steps by (C, KW) from filter to filter.
template <int Taps>
DLCUDA_INLINE void scatter_taps(const PlanesGeometry& g, const float* dy, std::int64_t dy_plane,
                                const float* w, float* planes, std::int64_t plane, std::int64_t positions) {
  const std::int64_t step = g.in_channels * g.kernel_width;
  for (std::int64_t p = 0; p < positions; p += kStep) {
    Floats sum[Taps][kVectors];
#pragma GCC unroll 8
    for (int j = 0; j < Taps; ++j) {
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) sum[j][v] = load(planes + j * plane + p + v * kLanes);
    }
    for (std::int64_t o = 0; o < g.out_channels; ++o) {
      Floats slope[kVectors];
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) slope[v] = load(dy + o * dy_plane + p + v * kLanes);
#pragma GCC unroll 8
      for (int j = 0; j < Taps; ++j) {
#pragma GCC unroll 4
        for (int v = 0; v < kVectors; ++v) sum[j][v] += slope[v] * w[o * step + j];
      }
    }
#pragma GCC unroll 8
    for (int j = 0; j < Taps; ++j) {
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) store(planes + j * plane + p + v * kLanes, sum[j][v]);
    }
  }
}

/// All columns of one kernel row.
void scatter_row(const PlanesGeometry& g, const float* dy, std::int64_t dy_plane, const float* w,
                 float* planes, std::int64_t plane, std::int64_t positions) {
  std::int64_t j = 0;
  for (; g.kernel_width - j >= 5; j += 5) {
    scatter_taps<5>(g, dy, dy_plane, w + j, planes + j * plane, plane, positions);
  }
  for (; g.kernel_width - j >= 3; j += 3) {
    scatter_taps<3>(g, dy, dy_plane, w + j, planes + j * plane, plane, positions);
  }
  for (; j < g.kernel_width; ++j) {
    scatter_taps<1>(g, dy, dy_plane, w + j, planes + j * plane, plane, positions);
  }
}

/// Room for the packed weights, so that what follows begins aligned.
DLCUDA_INLINE std::int64_t planes_weights(const TensorView& weight) {
  return (weight.numel() / kPlanesBlock + 1) * kPlanesBlock;
}

DLCUDA_INLINE PlanesGeometry geometry(const TensorView& x, const TensorView& weight,
                                      const Conv2dParams& params) {
  return {x.shape[0],
          x.shape[1],
          weight.shape[0],
          x.shape[2] + params.padding[0] + params.padding[2],
          x.shape[3] + params.padding[1] + params.padding[3],
          weight.shape[2],
          weight.shape[3]};
}

/// f of everything in `planes` that lies in front of `end`, row ends included.
template <typename F>
DLCUDA_INLINE void activate(float* planes, std::int64_t end, const F& f) {
  for (std::int64_t i = 0; i < end; ++i) planes[i] = f.forward(planes[i]);
}

/// The means of the 2 x 2 windows of (channels, height, width) in planes of `pitch` columns.
DLCUDA_INLINE void pool_planes(const float* planes, std::int64_t channels, std::int64_t height,
                               std::int64_t width, std::int64_t plane, std::int64_t pitch, float* to) {
  for (std::int64_t c = 0; c < channels; ++c) {
    for (std::int64_t h = 0; h < height / 2; ++h, to += width / 2) {
      const float* top = planes + c * plane + 2 * h * pitch;
      const float* bottom = top + pitch;
      for (std::int64_t w = 0; w < width / 2; ++w) {
        to[w] = ((top[2 * w] + top[2 * w + 1]) + (bottom[2 * w] + bottom[2 * w + 1])) * 0.25f;
      }
    }
  }
}

/// The gradient in front of the activation, from that of the means, into planes whose row ends stay as they
/// are.
template <typename F>
DLCUDA_INLINE void slope_planes(const float* dpooled, const float* y, std::int64_t channels,
                                std::int64_t height, std::int64_t width, float* planes, std::int64_t plane,
                                std::int64_t pitch, const F& f) {
  const std::int64_t pooled_height = height / 2, pooled_width = width / 2;
  for (std::int64_t c = 0; c < channels; ++c) {
    for (std::int64_t h = 0; h < height; ++h) {
      const float* __restrict out = y + (c * height + h) * width;
      float* __restrict to = planes + c * plane + h * pitch;
      const bool covered = h / 2 < pooled_height;
      const float* __restrict from = dpooled + (c * pooled_height + (covered ? h / 2 : 0)) * pooled_width;
      const std::int64_t windows = covered ? pooled_width : 0;
      for (std::int64_t w = 0; w < windows; ++w) {
        const float share = from[w] * 0.25f;
        to[2 * w] = f.backward(share, out[2 * w]);
        to[2 * w + 1] = f.backward(share, out[2 * w + 1]);
      }
      for (std::int64_t w = 2 * windows; w < width; ++w) to[w] = f.backward(0.0f, out[w]);
    }
  }
}

/// Weights as (KH, O, C, KW), for scatter_row().
DLCUDA_INLINE void pack_for_data(const PlanesGeometry& g, const float* w, float* packed) {
  const std::int64_t kh = g.kernel_height, kw = g.kernel_width;
  for (std::int64_t o = 0; o < g.out_channels; ++o) {
    for (std::int64_t c = 0; c < g.in_channels; ++c) {
      for (std::int64_t i = 0; i < kh; ++i) {
        for (std::int64_t j = 0; j < kw; ++j) {
          packed[((i * g.out_channels + o) * g.in_channels + c) * kw + j] =
              w[((o * g.in_channels + c) * kh + i) * kw + j];
        }
      }
    }
  }
}

/// Extent of one kernel column's plane, with room for a block of positions beyond its end, which is also the
/// zeros before the next plane's beginning.
DLCUDA_INLINE std::int64_t column_plane(const PlanesGeometry& g, const Scratch& sizes) {
  return sizes.in_plane + 2 * kPlanesBlock + g.kernel_width;
}

/// The input's gradient of one image, from its expanded dy.
void data_gradient(const PlanesGeometry& g, const Scratch& sizes, const float* dy, const float* packed,
                   float* columns, const Conv2dParams& params, std::int64_t height, std::int64_t width,
                   float* to) {
  const std::int64_t kw = g.kernel_width, column = column_plane(g, sizes);
  const std::int64_t positions = g.out_height() * g.in_width;
  for (std::int64_t c = 0; c < g.in_channels; ++c) {
    std::memset(columns, 0, static_cast<std::size_t>(kw * column) * sizeof(float));
    for (std::int64_t i = 0; i < g.kernel_height; ++i) {
      scatter_row(g, dy, sizes.out_plane, packed + (i * g.out_channels * g.in_channels + c) * kw,
                  columns + i * g.in_width, column, positions);
    }
    // Column j was computed j positions to the left of where it belongs.
    for (std::int64_t p = 0; p < sizes.in_plane; p += kLanes) {
      Floats sum = load(columns + p);
      for (std::int64_t j = 1; j < kw; ++j) sum += load(columns + j * column + p - j);
      store(columns + p, sum);
    }
    for (std::int64_t h = 0; h < height; ++h) {
      std::memcpy(to + (c * height + h) * width,
                  columns + (h + params.padding[0]) * g.in_width + params.padding[1],
                  static_cast<std::size_t>(width) * sizeof(float));
    }
  }
}

/// A thread's sums of the weight's gradient, lane by lane, and behind them those of the bias's.
struct WeightSums {
  std::int64_t weights, size;
  /// A multiple of a block, so that what follows begins aligned.
  explicit WeightSums(const PlanesGeometry& g)
      : weights(g.out_channels * g.in_channels * g.kernel_height * g.kernel_width),
        size(((weights * kLanes + g.out_channels) / kPlanesBlock + 1) * kPlanesBlock) {}
};

/// Adds what `count` expanded images give.
void add_weight_gradients(const PlanesGeometry& g, const Scratch& sizes, const float* in, const float* out,
                          std::int64_t count, float* sums) {
  const std::int64_t filter = g.in_channels * g.kernel_height * g.kernel_width;
  const std::int64_t positions = g.out_height() * g.in_width;
  for (std::int64_t c = 0; c < g.in_channels; ++c) {
    for (std::int64_t i = 0; i < g.kernel_height; ++i) {
      const float* rows = in + c * sizes.in_plane + i * g.in_width;
      gradient_rows({out, rows, count, positions, sizes.out_plane, sizes.out_size, sizes.in_size},
                    sums + (c * g.kernel_height + i) * g.kernel_width * kLanes, g.out_channels, filter,
                    g.kernel_width);
    }
  }
  float* bias_sums = sums + g.out_channels * filter * kLanes;
  for (std::int64_t o = 0; o < count * g.out_channels; ++o) {
    const float* plane = out + o / g.out_channels * sizes.out_size + o % g.out_channels * sizes.out_plane;
    Floats sum{};
    for (std::int64_t p = 0; p < positions; p += kLanes) sum += load(plane + p);
    for (int lane = 0; lane < kLanes; ++lane) bias_sums[o % g.out_channels] += sum[lane];
  }
}

/// Parts and lanes in order: the same bits for the same thread count.
void merge_weight_gradients(const PlanesGeometry& g, const float* parts, std::int64_t part_size, int threads,
                            const TensorView& dw, const TensorView& db) {
  const std::int64_t weights = WeightSums(g).weights;
  float* to = dw.as<float>();
  for (std::int64_t k = 0; k < weights; ++k) {
    Floats sum = load(parts + k * kLanes);
    for (int part = 1; part < threads; ++part) sum += load(parts + part * part_size + k * kLanes);
    float total = 0;
    for (int lane = 0; lane < kLanes; ++lane) total += sum[lane];
    to[k] = total;
  }
  if (!db.data) return;
  for (std::int64_t o = 0; o < g.out_channels; ++o) {
    float sum = 0;
    for (int part = 0; part < threads; ++part) sum += parts[part * part_size + weights * kLanes + o];
    db.as<float>()[o] = sum;
  }
}

}  // namespace

void planes_forward(const TensorView& x, const TensorView& weight, const TensorView& bias,
                    const TensorView& y, const TensorView& pooled, const Conv2dParams& params,
                    const ActivationParams& activation, float* scratch, int threads) {
  const PlanesGeometry g = geometry(x, weight, params);
  // Weights as (C, KH, KW, O): the filters of one tap side by side.
  const std::int64_t taps = g.in_channels * g.kernel_height * g.kernel_width;
  const float* w = weight.as<const float>();
  for (std::int64_t o = 0; o < g.out_channels; ++o) {
    for (std::int64_t t = 0; t < taps; ++t) scratch[t * g.out_channels + o] = w[o * taps + t];
  }
  float* planes = scratch + planes_weights(weight);
  const Scratch sizes(g);
  const std::int64_t height = x.shape[2], width = x.shape[3], out_height = g.out_height(),
                     out_width = g.out_width();
  const std::int64_t pooled_size = g.out_channels * (out_height / 2) * (out_width / 2);
  const float* from = x.as<const float>();
  const float* b = bias.as<const float>();
  float* to = y.as<float>();
  float* means = pooled.as<float>();
  const bool activates = activation.kind != Activation::Identity;
  parallel_for(threads, 1, [=, &g, &params](std::int64_t part_begin, std::int64_t part_end) {
    for (std::int64_t part = part_begin; part < part_end; ++part) {
      float* in = planes + part * (sizes.in_size + sizes.out_size);
      float* out = in + sizes.in_size;
      std::memset(in, 0, static_cast<std::size_t>(sizes.in_size + sizes.out_size) * sizeof(float));
      for (std::int64_t n = part * g.batch / threads; n < (part + 1) * g.batch / threads; ++n) {
        expand(from + n * g.in_channels * height * width, g.in_channels, height, width, in, sizes.in_plane,
               g.in_width, params.padding[0], params.padding[1]);
        correlate_all(g, in, sizes.in_plane, scratch, b, out, sizes.out_plane);
        if (activates) {
          functors::visit_activation<float>(activation, [&](auto f) { activate(out, sizes.out_size, f); });
        }
        if (means != nullptr) {
          pool_planes(out, g.out_channels, out_height, out_width, sizes.out_plane, g.in_width,
                      means + n * pooled_size);
        }
        for (std::int64_t row = 0; row < g.out_channels * out_height; ++row) {
          std::memcpy(to + (n * g.out_channels * out_height + row) * out_width,
                      out + row / out_height * sizes.out_plane + row % out_height * g.in_width,
                      static_cast<std::size_t>(out_width) * sizeof(float));
        }
      }
    }
  });
}

void planes_backward_data(const TensorView& dy, const TensorView& weight, const TensorView& dx,
                          const Conv2dParams& params, float* scratch, int threads) {
  const PlanesGeometry g = geometry(dx, weight, params);
  const Scratch sizes(g);
  pack_for_data(g, weight.as<const float>(), scratch);
  const float* packed = scratch;
  float* planes = scratch + planes_weights(weight);
  const std::int64_t columns_size = g.kernel_width * column_plane(g, sizes);
  const std::int64_t height = dx.shape[2], width = dx.shape[3];
  const float* from = dy.as<const float>();
  float* to = dx.as<float>();
  parallel_for(threads, 1, [=, &g, &params, &sizes](std::int64_t part_begin, std::int64_t part_end) {
    for (std::int64_t part = part_begin; part < part_end; ++part) {
      float* out = planes + part * (sizes.out_size + columns_size);
      float* columns = out + sizes.out_size;
      for (std::int64_t n = part * g.batch / threads; n < (part + 1) * g.batch / threads; ++n) {
        expand(from + n * g.out_channels * g.out_height() * g.out_width(), g.out_channels, g.out_height(),
               g.out_width(), out, sizes.out_plane, g.in_width, 0, 0);
        data_gradient(g, sizes, out, packed, columns, params, height, width,
                      to + n * g.in_channels * height * width);
      }
    }
  });
}

void planes_backward_weight(const TensorView& x, const TensorView& dy, const TensorView& dw,
                            const TensorView& db, const Conv2dParams& params, float* scratch, int threads) {
  const PlanesGeometry g = geometry(x, dw, params);
  const Scratch sizes(g);
  const std::int64_t sums_size = WeightSums(g).size;
  const std::int64_t part_size = sums_size + kPlanesImages * (sizes.in_size + sizes.out_size);
  const std::int64_t out_pixels = g.out_height() * g.out_width();
  const float* input = x.as<const float>();
  const float* slopes = dy.as<const float>();
  parallel_for(threads, 1, [=, &g, &params, &sizes, &x](std::int64_t part_begin, std::int64_t part_end) {
    for (std::int64_t part = part_begin; part < part_end; ++part) {
      float* sums = scratch + part * part_size;
      float* in = sums + sums_size;
      float* out = in + kPlanesImages * sizes.in_size;
      std::memset(sums, 0, static_cast<std::size_t>(part_size) * sizeof(float));
      const std::int64_t end = (part + 1) * g.batch / threads;
      for (std::int64_t first = part * g.batch / threads; first < end; first += kPlanesImages) {
        const std::int64_t count = end - first < kPlanesImages ? end - first : kPlanesImages;
        for (std::int64_t k = 0; k < count; ++k) {
          expand(input + (first + k) * g.in_channels * x.shape[2] * x.shape[3], g.in_channels, x.shape[2],
                 x.shape[3], in + k * sizes.in_size, sizes.in_plane, g.in_width, params.padding[0],
                 params.padding[1]);
          expand(slopes + (first + k) * g.out_channels * out_pixels, g.out_channels, g.out_height(),
                 g.out_width(), out + k * sizes.out_size, sizes.out_plane, g.in_width, 0, 0);
        }
        add_weight_gradients(g, sizes, in, out, count, sums);
      }
    }
  });
  merge_weight_gradients(g, scratch, part_size, threads, dw, db);
}

void planes_pool_backward(const PlanesPoolBackward& views, const Conv2dParams& params,
                          const ActivationParams& activation, float* scratch, int threads) {
  const auto& [dpooled, y, x, weight, dx, dw, db] = views;
  const PlanesGeometry g = geometry(x, weight, params);
  const Scratch sizes(g);
  const float* packed = scratch;
  if (dx.data) pack_for_data(g, weight.as<const float>(), scratch);
  float* parts = scratch + planes_weights(weight);
  const std::int64_t sums_size = WeightSums(g).size, images_size = sizes.in_size + sizes.out_size;
  const std::int64_t columns_size =
      (g.kernel_width * column_plane(g, sizes) / kPlanesBlock + 1) * kPlanesBlock;
  const std::int64_t part_size = sums_size + kPlanesImages * images_size + columns_size;
  const std::int64_t height = x.shape[2], width = x.shape[3], in_image = g.in_channels * height * width;
  const std::int64_t out_image = g.out_channels * g.out_height() * g.out_width();
  const std::int64_t pooled_image = g.out_channels * (g.out_height() / 2) * (g.out_width() / 2);
  const float *input = x.as<const float>(), *output = y.as<const float>(), *means = dpooled.as<const float>();
  float* to = dx.as<float>();
  parallel_for(threads, 1, [=, &g, &params, &sizes](std::int64_t part_begin, std::int64_t part_end) {
    for (std::int64_t part = part_begin; part < part_end; ++part) {
      float* sums = parts + part * part_size;
      float* in = sums + sums_size;
      float* out = in + kPlanesImages * sizes.in_size;
      float* columns = out + kPlanesImages * sizes.out_size;
      std::memset(sums, 0, static_cast<std::size_t>(part_size) * sizeof(float));
      const std::int64_t end = (part + 1) * g.batch / threads;
      for (std::int64_t first = part * g.batch / threads; first < end; first += kPlanesImages) {
        const std::int64_t count = end - first < kPlanesImages ? end - first : kPlanesImages;
        for (std::int64_t k = 0; k < count; ++k) {
          expand(input + (first + k) * in_image, g.in_channels, height, width, in + k * sizes.in_size,
                 sizes.in_plane, g.in_width, params.padding[0], params.padding[1]);
          float* slopes = out + k * sizes.out_size;
          functors::visit_output_activation<float>(activation, [&](auto f) {
            slope_planes(means + (first + k) * pooled_image, output + (first + k) * out_image, g.out_channels,
                         g.out_height(), g.out_width(), slopes, sizes.out_plane, g.in_width, f);
          });
          if (to != nullptr) {
            data_gradient(g, sizes, slopes, packed, columns, params, height, width,
                          to + (first + k) * in_image);
          }
        }
        add_weight_gradients(g, sizes, in, out, count, sums);
      }
    }
  });
  merge_weight_gradients(g, parts, part_size, threads, dw, db);
}

}  // namespace dlcuda::kernels::cpu::DLCUDA_ISA

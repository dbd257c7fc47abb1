// Built with fused multiply-add, as conv2d_planes.cpp and for the same reasons.
//
// The forward pass takes dot products, since rows of x and of the weight both lie along the sum: lanes add up
// apart, and are merged at the end. The gradients are sums of rows times numbers, so that lanes are columns
// of the result. Each call is one parallel region: threads share the rows of every result.
#include "dlcuda/kernels/linear.h"

#include "dlcuda/kernels/cpu/vectors.h"
#include "dlcuda/kernels/functors/activation.h"

namespace dlcuda::kernels::cpu::DLCUDA_ISA {
namespace {

/// The first `count` lanes from memory, the others 0.
template <typename T>
DLCUDA_INLINE Vector<T> load_first(const T* from, std::int64_t count) {
  T lanes[Simd<T>::kLanes] = {};
  for (std::int64_t i = 0; i < count; ++i) lanes[i] = from[i];
  return load(lanes);
}

/// The last `count` elements before `end` in their lanes, the others 0; a whole vector before `end` is there.
template <typename T>
DLCUDA_INLINE Vector<T> load_last(const T* end, std::int64_t count) {
  constexpr int kLanes = Simd<T>::kLanes;
  T lanes[kLanes];
  for (int i = 0; i < kLanes; ++i) lanes[i] = static_cast<T>(i);
  const Vector<T> value = load(end - kLanes), first = Vector<T>{} + static_cast<T>(kLanes - count);
  return load(lanes) >= first ? value : Vector<T>{};
}

/// Multiply-adds for which another thread pays: waking it takes as long.
constexpr std::int64_t kProducts = 1 << 18;

/// body(part, parts) for every part, on as many threads.
template <typename Body>
DLCUDA_INLINE void in_parts(std::int64_t products, const Body& body) {
  const std::int64_t useful = products / kProducts + 1, available = omp_get_max_threads();
  const std::int64_t parts = useful < available ? useful : available;
  parallel_for(parts, 1, [=, &body](std::int64_t begin, std::int64_t end) {
    for (std::int64_t part = begin; part < end; ++part) body(part, parts);
  });
}

/// Rows [begin, end) of `rows` that a part has, in whole tiles.
struct Share {
  std::int64_t begin, end;
  DLCUDA_INLINE Share(std::int64_t rows, std::int64_t tile, std::int64_t part, std::int64_t parts) {
    const std::int64_t tiles = (rows + tile - 1) / tile;
    begin = part * tiles / parts * tile;
    const std::int64_t stop = (part + 1) * tiles / parts * tile;
    end = stop < rows ? stop : rows;
  }
};

template <typename T>
DLCUDA_INLINE T sum_of_lanes(const Vector<T>& value) {
  constexpr int kLanes = Simd<T>::kLanes;
  T lanes[kLanes];
  store(lanes, value);
#pragma GCC unroll 8
  for (int half = kLanes / 2; half > 0; half /= 2) {
#pragma GCC unroll 8
    for (int i = 0; i < half; ++i) lanes[i] += lanes[i + half];
  }
  return lanes[0];
}

/// Rows of x and of the weight that are multiplied with each other at once.
constexpr int kRows = 4;

/// sums[r][o] = the dot product of row r of x and row o of w, both `length` long.
template <int Rows, int Outputs, typename T>
DLCUDA_INLINE void dot_products(const T* x, const T* w, std::int64_t length, T (&sums)[kRows][kRows]) {
  constexpr int kLanes = Simd<T>::kLanes;
  Vector<T> sum[Rows][Outputs] = {};
  const auto add = [&](const auto& read, std::int64_t at) {
    Vector<T> left[Rows];
#pragma GCC unroll 4
    for (int r = 0; r < Rows; ++r) left[r] = read(x + r * length + at);
#pragma GCC unroll 4
    for (int o = 0; o < Outputs; ++o) {
      const Vector<T> right = read(w + o * length + at);
#pragma GCC unroll 4
      for (int r = 0; r < Rows; ++r) sum[r][o] += left[r] * right;
    }
  };
  std::int64_t i = 0;
  for (; i + kLanes <= length; i += kLanes) add([](const T* from) { return load(from); }, i);
  const std::int64_t rest = length - i;
  if (rest > 0 && i > 0) {
    add([=](const T* from) { return load_last(from + rest, rest); }, i);
  } else if (rest > 0) {
    add([=](const T* from) { return load_first(from, rest); }, i);
  }
#pragma GCC unroll 4
  for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 4
    for (int o = 0; o < Outputs; ++o) sums[r][o] = sum_of_lanes<T>(sum[r][o]);
  }
}

/// What is multiplied: contiguous x (rows, depth) and w (outputs, depth) into y (rows, outputs).
template <typename T>
struct Layer {
  const T *x, *w, *bias;
  T* y;
  std::int64_t rows, outputs, depth;
};

template <int Rows, int Outputs, typename T>
DLCUDA_INLINE void forward_tile(const Layer<T>& layer, std::int64_t row, std::int64_t output) {
  T sums[kRows][kRows];
  dot_products<Rows, Outputs>(layer.x + row * layer.depth, layer.w + output * layer.depth, layer.depth, sums);
  for (int r = 0; r < Rows; ++r) {
    T* to = layer.y + (row + r) * layer.outputs + output;
    for (int o = 0; o < Outputs; ++o) {
      to[o] = sums[r][o] + (layer.bias != nullptr ? layer.bias[output + o] : T(0));
    }
  }
}

/// Rows [begin, end) of x weight^T + bias. Four rows of the weight stay in the innermost cache for all of
/// them.
template <typename T>
void forward_rows(const Layer<T>& layer, std::int64_t begin, std::int64_t end) {
  for (std::int64_t o = 0; o < layer.outputs;) {
    const bool four = layer.outputs - o >= kRows;
    std::int64_t n = begin;
    for (; four && n + kRows <= end; n += kRows) forward_tile<kRows, kRows>(layer, n, o);
    for (; four && n < end; ++n) forward_tile<1, kRows>(layer, n, o);
    for (; n < end; ++n) forward_tile<1, 1>(layer, n, o);
    o += four ? kRows : 1;
  }
}

/// Terms that a tile of a gradient adds up before it is stored: their factors stay in the innermost cache.
constexpr std::int64_t kDepth = 256;

/// to[r][c] (+)= the sum over k < depth of factors[k][r] from[k][c], for `Vectors` vectors of columns.
template <int Rows, int Vectors, typename T>
DLCUDA_INLINE void add_rows(const T* factors, const T* from, std::int64_t depth, T* to, std::int64_t pitch,
                            bool first) {
  constexpr int kLanes = Simd<T>::kLanes;
  Vector<T> sum[Rows][Vectors] = {};
  for (std::int64_t k = 0; k < depth; ++k) {
    Vector<T> row[Vectors];
#pragma GCC unroll 4
    for (int v = 0; v < Vectors; ++v) row[v] = load(from + k * pitch + v * kLanes);
#pragma GCC unroll 4
    for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 4
      for (int v = 0; v < Vectors; ++v) sum[r][v] += row[v] * factors[k * kRows + r];
    }
  }
#pragma GCC unroll 4
  for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 4
    for (int v = 0; v < Vectors; ++v) {
      T* at = to + r * pitch + v * kLanes;
      store(at, first ? sum[r][v] : load(at) + sum[r][v]);
    }
  }
}

/// The same for all columns.
template <int Rows, typename T>
DLCUDA_INLINE void add_all_columns(const T* factors, const T* from, std::int64_t depth, T* to,
                                   std::int64_t columns, bool first) {
  constexpr std::int64_t kLanes = Simd<T>::kLanes, kWide = 4;
  std::int64_t c = 0;
  for (; c + kWide * kLanes <= columns; c += kWide * kLanes) {
    add_rows<Rows, kWide>(factors, from + c, depth, to + c, columns, first);
  }
  for (; c + kLanes <= columns; c += kLanes) {
    add_rows<Rows, 1>(factors, from + c, depth, to + c, columns, first);
  }
  if (c == columns) return;
  T sum[Rows][kLanes] = {};
  const std::int64_t rest = columns - c;
  for (std::int64_t k = 0; k < depth; ++k) {
    for (int r = 0; r < Rows; ++r) {
      for (std::int64_t i = 0; i < rest; ++i) sum[r][i] += from[k * columns + c + i] * factors[k * kRows + r];
    }
  }
  for (int r = 0; r < Rows; ++r) {
    for (std::int64_t i = 0; i < rest; ++i) {
      T& at = to[r * columns + c + i];
      at = first ? sum[r][i] : at + sum[r][i];
    }
  }
}

/// The same for `rows` <= kRows rows.
template <typename T>
void add_tile(int rows, const T* factors, const T* from, std::int64_t depth, T* to, std::int64_t columns,
              bool first) {
  if (rows == kRows) return add_all_columns<kRows>(factors, from, depth, to, columns, first);
  for (int r = 0; r < rows; ++r) {
    add_all_columns<1>(factors + r, from, depth, to + r * columns, columns, first);
  }
}

/// The share's rows of to (rows, columns): the sum over k < depth of factor(row, k) from[k]. sums, where it
/// is not null, gets each row's sum of factors.
template <typename T, typename Factor>
DLCUDA_INLINE void gradient_rows(const Share& share, std::int64_t depth, const Factor& factor, const T* from,
                                 T* to, std::int64_t columns, T* sums) {
  for (std::int64_t row = share.begin; row < share.end; row += kRows) {
    const int rows = static_cast<int>(share.end - row < kRows ? share.end - row : kRows);
    double total[kRows] = {};
    for (std::int64_t first = 0; first < depth; first += kDepth) {
      const std::int64_t count = depth - first < kDepth ? depth - first : kDepth;
      T factors[kDepth * kRows];
      for (std::int64_t k = 0; k < count; ++k) {
        for (int r = 0; r < rows; ++r) factors[k * kRows + r] = factor(row + r, first + k);
      }
      for (std::int64_t k = 0; k < count && sums != nullptr; ++k) {
        for (int r = 0; r < rows; ++r) total[r] += static_cast<double>(factors[k * kRows + r]);
      }
      if (to != nullptr) {
        add_tile(rows, factors, from + first * columns, count, to + row * columns, columns, first == 0);
      }
    }
    for (int r = 0; sums != nullptr && r < rows; ++r) sums[row + r] = static_cast<T>(total[r]);
  }
}

/// f32 and f64 as they are; 16 bits by loops that say the same.
template <typename T>
constexpr bool kIsWide = sizeof(T) >= sizeof(float);

}  // namespace

void linear_forward(const TensorView& x, const TensorView& weight, const TensorView& bias,
                    const TensorView& y, const ActivationParams& activation) {
  const std::int64_t rows = x.shape[0], depth = x.shape[1], outputs = weight.shape[0];
  visit_floating(x.dtype, [&]<typename T>() {
    using C = compute_t<T>;
    functors::visit_activation<C>(activation, [&](auto f) {
      if constexpr (kIsWide<T>) {
        const Layer<T> layer{
            x.as<const T>(), weight.as<const T>(), bias.as<const T>(), y.as<T>(), rows, outputs, depth};
        in_parts(rows * outputs * depth, [=, &layer](std::int64_t part, std::int64_t parts) {
          const Share share(rows, kRows, part, parts);
          forward_rows(layer, share.begin, share.end);
          for (std::int64_t i = share.begin * outputs; i < share.end * outputs; ++i) {
            layer.y[i] = f.forward(layer.y[i]);
          }
        });
      } else {
        const T *from = x.as<const T>(), *w = weight.as<const T>(), *b = bias.as<const T>();
        T* to = y.as<T>();
        parallel_for(rows * outputs, kGrain / (depth + 1) + 1, [=](std::int64_t begin, std::int64_t end) {
          for (std::int64_t i = begin; i < end; ++i) {
            const T *left = from + i / outputs * depth, *right = w + i % outputs * depth;
            C sum = b != nullptr ? static_cast<C>(b[i % outputs]) : C(0);
            for (std::int64_t k = 0; k < depth; ++k)
              sum += static_cast<C>(left[k]) * static_cast<C>(right[k]);
            to[i] = static_cast<T>(f.forward(sum));
          }
        });
      }
    });
  });
}

void linear_backward(const TensorView& dy, const TensorView& y, const TensorView& x, const TensorView& weight,
                     const TensorView& dx, const TensorView& dw, const TensorView& db,
                     const ActivationParams& activation) {
  const std::int64_t rows = dy.shape[0], outputs = dy.shape[1];
  const std::int64_t depth = dx.data ? dx.shape[1] : (dw.data ? dw.shape[1] : 0);
  visit_floating(dy.dtype, [&]<typename T>() {
    using C = compute_t<T>;
    functors::visit_output_activation<C>(activation, [&](auto f) {
      const T *grad = dy.as<const T>(), *out = y.as<const T>();
      const auto slope = [=](std::int64_t row, std::int64_t output) {
        const std::int64_t i = row * outputs + output;
        return f.backward(static_cast<C>(grad[i]), out != nullptr ? static_cast<C>(out[i]) : C(0));
      };
      const auto slope_of = [=](std::int64_t output, std::int64_t row) { return slope(row, output); };
      const T *from = x.as<const T>(), *w = weight.as<const T>();
      T *to_x = dx.as<T>(), *to_w = dw.as<T>(), *to_b = db.as<T>();
      if constexpr (kIsWide<T>) {
        in_parts(2 * rows * outputs * depth, [=](std::int64_t part, std::int64_t parts) {
          if (to_x != nullptr) {
            gradient_rows<T>(Share(rows, kRows, part, parts), outputs, slope, w, to_x, depth, nullptr);
          }
          if (to_w != nullptr || to_b != nullptr) {
            gradient_rows<T>(Share(outputs, kRows, part, parts), rows, slope_of, from, to_w, depth, to_b);
          }
        });
      } else {
        const auto product = [=](std::int64_t count, const auto& factor, const T* right,
                                 std::int64_t column) {
          C sum = 0;
          for (std::int64_t k = 0; k < count; ++k)
            sum += factor(k) * static_cast<C>(right[k * depth + column]);
          return static_cast<T>(sum);
        };
        for (std::int64_t i = 0; to_x != nullptr && i < rows * depth; ++i) {
          to_x[i] = product(
              outputs, [=](std::int64_t o) { return slope(i / depth, o); }, w, i % depth);
        }
        for (std::int64_t i = 0; to_w != nullptr && i < outputs * depth; ++i) {
          to_w[i] = product(
              rows, [=](std::int64_t n) { return slope(n, i / depth); }, from, i % depth);
        }
        for (std::int64_t o = 0; to_b != nullptr && o < outputs; ++o) {
          C sum = 0;
          for (std::int64_t n = 0; n < rows; ++n) sum += slope(n, o);
          to_b[o] = static_cast<T>(sum);
        }
      }
    });
  });
}

}  // namespace dlcuda::kernels::cpu::DLCUDA_ISA

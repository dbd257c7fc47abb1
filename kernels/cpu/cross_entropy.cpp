#include "dlcuda/kernels/cross_entropy.h"

#include "dlcuda/kernels/cpu/loops.h"
#include "dlcuda/kernels/functors/cross_entropy.h"

namespace dlcuda::kernels::cpu::DLCUDA_ISA {
namespace {

constexpr std::int64_t kTile = 256;  // rows that are worked on together

/// What is the same for all rows. C: what T is computed in.
template <typename T, typename C>
struct Rows {
  const T* logits;
  const std::int64_t* labels;
  const C* class_weight;  // or null
  C* log_sum_exp;
  std::int64_t count, classes, inner, ignored;
  bool ignores;
  functors::CrossEntropy<C> function;

  bool counts(std::int64_t row) const { return !(ignores && labels[row] == ignored); }
  C weight(std::int64_t c) const { return class_weight != nullptr ? class_weight[c] : C(1); }
  C label_weight(std::int64_t row) const { return counts(row) ? weight(labels[row]) : C(0); }
};

template <typename T, typename C = compute_t<T>>
DLCUDA_INLINE Rows<T, C> rows_of(const CrossEntropyViews& views, const CrossEntropyParams& params) {
  const std::int64_t classes = views.logits.shape[1];
  return {views.logits.as<const T>(),
          views.labels.as<const std::int64_t>(),
          views.class_weight.as<const C>(),
          views.log_sum_exp.as<C>(),
          views.logits.shape[0] * views.logits.shape[2],
          classes,
          views.logits.shape[2],
          params.ignore_index.value_or(0),
          params.ignore_index.has_value(),
          functors::CrossEntropy<C>(params.label_smoothing, static_cast<double>(classes))};
}

/// Neighbouring rows: class c of row first + i lies at offset + i * row_stride + c * class_stride.
template <typename RowStride>
struct Tile {
  std::int64_t first, width, offset;
  RowStride row_stride;
  std::int64_t class_stride;
};

/// The distance of neighbouring rows, known to the compiler: what lies side by side becomes vector code.
struct SideBySide {
  DLCUDA_INLINE operator std::int64_t() const { return 1; }
};

/// visit(tile) for all rows in tiles.
template <typename Rows, typename Visit>
DLCUDA_INLINE void for_tiles(const Rows& rows, const Visit& visit) {
  const std::int64_t classes = rows.classes, inner = rows.inner;
  const std::int64_t cost = 8 * classes;
  if (rows.count == 0) return;
  if (inner == 1) {  // the classes of a row lie side by side
    const std::int64_t wanted = kGrain / cost + 1, size = wanted < kTile ? wanted : kTile;
    parallel_for((rows.count + size - 1) / size, kGrain / (cost * size) + 1,
                 [=](std::int64_t begin, std::int64_t end) {
                   for (std::int64_t first = begin * size; first < end * size && first < rows.count;
                        first += size) {
                     const std::int64_t width = rows.count - first < size ? rows.count - first : size;
                     visit(Tile<std::int64_t>{first, width, first * classes, classes, 1});
                   }
                 });
    return;
  }
  // No tile crosses an outer index.
  const std::int64_t tiles = (inner + kTile - 1) / kTile, most = inner < kTile ? inner : kTile;
  parallel_for(
      rows.count / inner * tiles, kGrain / (cost * most) + 1, [=](std::int64_t begin, std::int64_t end) {
        for (std::int64_t i = begin; i < end; ++i) {
          const std::int64_t outer = i / tiles, at = i % tiles * kTile;
          const std::int64_t width = inner - at < kTile ? inner - at : kTile;
          visit(Tile<SideBySide>{outer * inner + at, width, outer * classes * inner + at, {}, inner});
        }
      });
}

template <typename T, typename C, typename Tile>
DLCUDA_INLINE void forward_tile(const Rows<T, C>& rows, const Tile& tile, C* terms) {
  const std::int64_t width = tile.width, classes = rows.classes;
  const T* x = rows.logits + tile.offset;
  const auto logit = [=](std::int64_t c, std::int64_t i) {
    return static_cast<C>(x[c * tile.class_stride + i * tile.row_stride]);
  };
  C largest[kTile], sum[kTile], spread[kTile];
  for (std::int64_t i = 0; i < width; ++i) largest[i] = logit(0, i);
  for (std::int64_t i = 0; i < width; ++i) sum[i] = spread[i] = C(0);
  for (std::int64_t c = 1; c < classes; ++c) {
    for (std::int64_t i = 0; i < width; ++i) {
      const C value = logit(c, i);
      largest[i] = value > largest[i] ? value : largest[i];
    }
  }
  for (std::int64_t c = 0; c < classes; ++c) {
    for (std::int64_t i = 0; i < width; ++i) sum[i] += functors::exp(logit(c, i) - largest[i]);
  }
  C* lse = rows.log_sum_exp + tile.first;
  for (std::int64_t i = 0; i < width; ++i) {
    lse[i] = functors::CrossEntropy<C>::log_sum_exp(largest[i], sum[i]);
  }
  if (rows.function.of_all != C(0)) {
    for (std::int64_t c = 0; c < classes; ++c) {
      const C weight = rows.weight(c);
      for (std::int64_t i = 0; i < width; ++i) spread[i] += weight * (lse[i] - logit(c, i));
    }
  }
  for (std::int64_t i = 0; i < width; ++i) {
    const std::int64_t row = tile.first + i, label = rows.labels[row];
    terms[row] =
        rows.counts(row) ? rows.function.loss(lse[i], logit(label, i), rows.weight(label), spread[i]) : C(0);
  }
}

}  // namespace

void cross_entropy_forward(const CrossEntropyViews& views, const TensorView& loss, const TensorView& terms,
                           const CrossEntropyParams& params) {
  visit_floating(views.logits.dtype, [&]<typename T>() {
    using C = compute_t<T>;
    const auto rows = rows_of<T>(views, params);
    C* each = terms.as<C>();
    for_tiles(rows, [=](const auto& tile) { forward_tile(rows, tile, each); });
    double total = 0, weight = 0, weights = 0;
    for (std::int64_t n = 0; n < rows.count; ++n) {
      total += each[n];
      weight += rows.label_weight(n);
    }
    for (std::int64_t c = 0; c < rows.classes; ++c) weights += rows.weight(c);
    const double divisor = params.reduction == LossReduction::Mean ? weight : 1;
    views.totals.as<C>()[0] = static_cast<C>(divisor);
    views.totals.as<C>()[1] = static_cast<C>(weights);
    if (params.reduction != LossReduction::None) *loss.as<C>() = static_cast<C>(total / divisor);
  });
}

void cross_entropy_backward(const TensorView& dloss, const CrossEntropyViews& views,
                            const TensorView& dlogits, const CrossEntropyParams& params) {
  visit_floating(views.logits.dtype, [&]<typename T>() {
    using C = compute_t<T>;
    const auto rows = rows_of<T>(views, params);
    T* gradients = dlogits.as<T>();
    const C* dy = dloss.as<const C>();
    const bool terms = params.reduction == LossReduction::None;
    const C divisor = views.totals.as<const C>()[0], weights = views.totals.as<const C>()[1];
    for_tiles(rows, [=](const auto& tile) {
      const T* __restrict x = rows.logits + tile.offset;
      T* __restrict dx = gradients + tile.offset;
      const C* __restrict lse = rows.log_sum_exp + tile.first;
      const std::int64_t* __restrict labels = rows.labels + tile.first;
      C scale[kTile], weight[kTile];
      for (std::int64_t i = 0; i < tile.width; ++i) {
        const std::int64_t row = tile.first + i;
        scale[i] = rows.counts(row) ? dy[terms ? row : 0] / divisor : C(0);
        weight[i] = rows.label_weight(row);
      }
      for (std::int64_t c = 0; c < rows.classes; ++c) {
        const C class_weight = rows.weight(c);
        for (std::int64_t i = 0; i < tile.width; ++i) {
          const std::int64_t at = c * tile.class_stride + i * tile.row_stride;
          dx[at] =
              static_cast<T>(scale[i] * rows.function.gradient(static_cast<C>(x[at]), lse[i], labels[i] == c,
                                                               weight[i], class_weight, weights));
        }
      }
    });
  });
}

void classification_metrics(const TensorView& logits, const TensorView& labels, const TensorView& loss,
                            const TensorView& metrics) {
  visit_floating(logits.dtype, [&]<typename T>() {
    using C = compute_t<T>;
    const std::int64_t rows = logits.shape[0], classes = logits.shape[1];
    const T* x = logits.as<const T>();
    const std::int64_t* label = labels.as<const std::int64_t>();
    std::int64_t correct = 0;
    for (std::int64_t n = 0; n < rows; ++n) {
      std::int64_t best = 0;
      for (std::int64_t c = 1; c < classes; ++c) {
        if (static_cast<C>(x[n * classes + c]) > static_cast<C>(x[n * classes + best])) best = c;
      }
      correct += best == label[n];
    }
    double* running = metrics.as<double>();
    running[0] += static_cast<double>(*loss.as<const C>()) * static_cast<double>(rows);
    running[1] += static_cast<double>(correct);
    running[2] += static_cast<double>(rows);
  });
}

}  // namespace dlcuda::kernels::cpu::DLCUDA_ISA

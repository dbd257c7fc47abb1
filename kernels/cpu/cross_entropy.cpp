#include "dlcuda/kernels/cross_entropy.h"

#include "dlcuda/kernels/cpu/loops.h"
#include "dlcuda/kernels/functors/cross_entropy.h"

namespace dlcuda::kernels::cpu::DLCUDA_ISA {

namespace {

constexpr std::int64_t kTile = 256;  // neighbouring rows that are worked on together

/// What is the same for all rows. C: what T is computed in.
template <typename T, typename C>
struct Rows {
  const T* logits;
  const std::int64_t* labels;
  const C* class_weight;  // or null
  C* log_sum_exp;
  std::int64_t classes, inner, ignored;
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
          classes,
          views.logits.shape[2],
          params.ignore_index.value_or(0),
          params.ignore_index.has_value(),
          functors::CrossEntropy<C>(params.label_smoothing, static_cast<double>(classes))};
}

/// A row whose classes lie side by side.
template <typename T, typename C>
DLCUDA_INLINE C forward_row(const Rows<T, C>& rows, std::int64_t row) {
  const std::int64_t classes = rows.classes;
  const T* x = rows.logits + row * classes;
  C largest = static_cast<C>(x[0]), sum = 0, spread = 0;
  for (std::int64_t c = 1; c < classes; ++c) {
    const C value = static_cast<C>(x[c]);
    largest = value > largest ? value : largest;
  }
  for (std::int64_t c = 0; c < classes; ++c) sum += functors::exp(static_cast<C>(x[c]) - largest);
  const C lse = rows.log_sum_exp[row] = functors::CrossEntropy<C>::log_sum_exp(largest, sum);
  if (rows.function.of_all != C(0)) {
    for (std::int64_t c = 0; c < classes; ++c) spread += rows.weight(c) * (lse - static_cast<C>(x[c]));
  }
  if (!rows.counts(row)) return C(0);
  const std::int64_t label = rows.labels[row];
  return rows.function.loss(lse, static_cast<C>(x[label]), rows.weight(label), spread);
}

/// The rows `row` to `row` + width of one outer index, side by side: class c of the first lies at
/// x[c * inner].
template <typename T, typename C>
DLCUDA_INLINE void forward_tile(const Rows<T, C>& rows, std::int64_t row, std::int64_t width, C* terms) {
  const std::int64_t inner = rows.inner, classes = rows.classes;
  const T* x = rows.logits + row / inner * classes * inner + row % inner;
  C largest[kTile] = {}, sum[kTile] = {}, spread[kTile] = {};
  for (std::int64_t i = 0; i < width; ++i) largest[i] = static_cast<C>(x[i]);
  for (std::int64_t c = 1; c < classes; ++c) {
    for (std::int64_t i = 0; i < width; ++i) {
      const C value = static_cast<C>(x[c * inner + i]);
      largest[i] = value > largest[i] ? value : largest[i];
    }
  }
  for (std::int64_t c = 0; c < classes; ++c) {
    for (std::int64_t i = 0; i < width; ++i) {
      sum[i] += functors::exp(static_cast<C>(x[c * inner + i]) - largest[i]);
    }
  }
  C* lse = rows.log_sum_exp + row;
  for (std::int64_t i = 0; i < width; ++i) {
    lse[i] = functors::CrossEntropy<C>::log_sum_exp(largest[i], sum[i]);
  }
  if (rows.function.of_all != C(0)) {
    for (std::int64_t c = 0; c < classes; ++c) {
      const C weight = rows.weight(c);
      for (std::int64_t i = 0; i < width; ++i) {
        spread[i] += weight * (lse[i] - static_cast<C>(x[c * inner + i]));
      }
    }
  }
  for (std::int64_t i = 0; i < width; ++i) {
    terms[row + i] = C(0);
    if (!rows.counts(row + i)) continue;
    const std::int64_t label = rows.labels[row + i];
    terms[row + i] =
        rows.function.loss(lse[i], static_cast<C>(x[label * inner + i]), rows.weight(label), spread[i]);
  }
}

/// visit(row, width) for tiles that do not cross an outer index.
template <typename Visit>
DLCUDA_INLINE void for_tiles(const TensorView& logits, const Visit& visit) {
  const std::int64_t outer = logits.shape[0], classes = logits.shape[1], inner = logits.shape[2];
  const std::int64_t tiles = (inner + kTile - 1) / kTile;
  const std::int64_t cost = 8 * classes * (inner < kTile ? inner : kTile);
  parallel_for(outer * tiles, kGrain / cost + 1, [=](std::int64_t begin, std::int64_t end) {
    for (std::int64_t tile = begin; tile < end; ++tile) {
      const std::int64_t first = tile % tiles * kTile;
      visit(tile / tiles * inner + first, inner - first < kTile ? inner - first : kTile);
    }
  });
}

}  // namespace

void cross_entropy_forward(const CrossEntropyViews& views, const TensorView& loss, const TensorView& terms,
                           const CrossEntropyParams& params) {
  visit_floating(views.logits.dtype, [&]<typename T>() {
    using C = compute_t<T>;
    const auto rows = rows_of<T>(views, params);
    C* each = terms.as<C>();
    for_tiles(views.logits,
              [=](std::int64_t row, std::int64_t width) { forward_tile(rows, row, width, each); });
    double total = 0, weight = 0, weights = 0;
    for (std::int64_t n = 0; n < views.labels.numel(); ++n) {
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
    for_tiles(views.logits, [=](std::int64_t row, std::int64_t width) {
      const std::int64_t inner = rows.inner, offset = row / inner * rows.classes * inner + row % inner;
      const T* x = rows.logits + offset;
      T* dx = gradients + offset;
      if (rows.inner == 1) {
        const C scale = rows.counts(row) ? dy[terms ? row : 0] / divisor : C(0);
        const C lse = rows.log_sum_exp[row], weight = rows.label_weight(row);
        const std::int64_t label = rows.labels[row];
        for (std::int64_t c = 0; c < rows.classes; ++c) {
          dx[c] = static_cast<T>(scale * rows.function.gradient(static_cast<C>(x[c]), lse, c == label, weight,
                                                                rows.weight(c), weights));
        }
        return;
      }
      C scale[kTile] = {}, weight[kTile] = {};
      for (std::int64_t i = 0; i < width; ++i) {
        scale[i] = rows.counts(row + i) ? dy[terms ? row + i : 0] / divisor : C(0);
        weight[i] = rows.label_weight(row + i);
      }
      for (std::int64_t c = 0; c < rows.classes; ++c) {
        const C class_weight = rows.weight(c);
        for (std::int64_t i = 0; i < width; ++i) {
          dx[c * inner + i] = static_cast<T>(
              scale[i] * rows.function.gradient(static_cast<C>(x[c * inner + i]), rows.log_sum_exp[row + i],
                                                rows.labels[row + i] == c, weight[i], class_weight, weights));
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

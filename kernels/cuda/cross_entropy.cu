// Softmax with cross-entropy, fused. logits (outer, C, inner), f32, f16 or bf16; labels (outer, inner), i64;
// class weights, arithmetic and losses in f32. The formula is in kernels/cross_entropy.h.
//
//   forward   log_sum_exp[r] = max + log sum exp(logits[r] - max), and the row's term; sums of terms and of
//             the labels' weights by chunks of rows, whose extent depends on the sizes alone
//   totals    adds up the chunks in a fixed order: loss, totals; leaves a note of the first label out of
//   range backward  dlogits[r, c] = dloss / divisor * d term / d logit metrics   metrics[0] += loss * N;
//   metrics[1] += rows whose first largest logit is at the label;
//             metrics[2] += N
//
// The forward pass saves log_sum_exp and totals. Outputs are overwritten, metrics accumulate. A label out of
// range makes the row's loss NaN; it is never used as an index.
#include "dlcuda/kernels/cross_entropy.h"

#include "dlcuda/core/label_fault.h"
#include "dlcuda/kernels/cuda/argmax.cuh"
#include "dlcuda/kernels/cuda/dtype.cuh"
#include "dlcuda/kernels/functors/cross_entropy.h"

namespace dlcuda::kernels::cuda {
namespace {

using Term = functors::CrossEntropy<float>;

constexpr std::int64_t kNone = -1;
constexpr int kNoChunk = 0x7fffffff;

/// The logits and what their rows are judged by.
template <typename T>
struct Rows {
  const T* logits;
  const std::int64_t* labels;
  const float* class_weight;  // or null
  std::int64_t count, classes, inner, ignored;
  bool ignores;
  Term function;

  __device__ const T* row(std::int64_t r) const { return logits + r / inner * classes * inner + r % inner; }
  __device__ float weight(std::int64_t c) const { return class_weight != nullptr ? class_weight[c] : 1.0f; }
  __device__ bool counts(std::int64_t label) const { return !(ignores && label == ignored); }
  __device__ bool exists(std::int64_t label) const { return label >= 0 && label < classes; }
};

/// What the rows of a chunk add up to.
struct Partial {
  float loss, weight;
  std::int64_t bad_row;  // the first one with a label out of range, or kNone
};

template <int kThreads, typename T>
__global__ void forward_kernel(Rows<T> rows, std::int64_t chunks, float* log_sum_exp, float* terms,
                               Partial* partial) {
  constexpr int kRows = kBlock / kThreads;  // of a chunk, which is a block's work
  const int thread = threadIdx.x % kThreads, place = threadIdx.x / kThreads;
  __shared__ int first_bad;
  for (std::int64_t chunk = blockIdx.x; chunk < chunks; chunk += gridDim.x) {
    if (threadIdx.x == 0) first_bad = kRows;
    __syncthreads();
    const std::int64_t r = chunk * kRows + place;
    float loss = 0.0f, weight = 0.0f;
    if (r < rows.count) {
      const T* x = rows.row(r);
      float largest = Max::kIdentity;
      for (std::int64_t c = thread; c < rows.classes; c += kThreads) {
        largest = Max{}(largest, static_cast<float>(x[c * rows.inner]));
      }
      largest = group_reduce<kThreads>(largest, Max{});
      float sum = 0.0f;
      for (std::int64_t c = thread; c < rows.classes; c += kThreads) {
        sum += functors::exp(static_cast<float>(x[c * rows.inner]) - largest);
      }
      const float lse = Term::log_sum_exp(largest, group_reduce<kThreads>(sum, Sum{}));
      float spread = 0.0f;
      if (rows.function.of_all != 0.0f) {
        for (std::int64_t c = thread; c < rows.classes; c += kThreads) {
          spread += rows.weight(c) * (lse - static_cast<float>(x[c * rows.inner]));
        }
        spread = group_reduce<kThreads>(spread, Sum{});
      }
      if (thread == 0) {
        const std::int64_t label = rows.labels[r];
        if (rows.exists(label) && rows.counts(label)) {
          weight = rows.weight(label);
          loss = rows.function.loss(lse, static_cast<float>(x[label * rows.inner]), weight, spread);
        } else if (rows.counts(label)) {
          loss = NAN;
          atomicMin(&first_bad, place);
        }
        log_sum_exp[r] = lse;
        if (terms != nullptr) terms[r] = loss;
      }
    }
    loss = group_reduce<kBlock>(loss, Sum{});
    weight = group_reduce<kBlock>(weight, Sum{});
    if (threadIdx.x == 0) {
      partial[chunk] = {loss, weight, first_bad < kRows ? chunk * kRows + first_bad : kNone};
    }
    __syncthreads();  // first_bad has been read
  }
}

// One block. loss: null where the terms are not added up.
template <typename T>
__global__ void totals_kernel(Rows<T> rows, const Partial* partial, std::int64_t chunks, bool mean,
                              float* loss, float* totals, LabelFault* fault, LabelFault* fault_on_host) {
  __shared__ int first_bad;
  if (threadIdx.x == 0) first_bad = kNoChunk;
  __syncthreads();
  float sum = 0.0f, weight = 0.0f, weights = 0.0f;
  for (std::int64_t chunk = threadIdx.x; chunk < chunks; chunk += kBlock) {
    sum += partial[chunk].loss;
    weight += partial[chunk].weight;
    if (partial[chunk].bad_row != kNone) atomicMin(&first_bad, static_cast<int>(chunk));
  }
  for (std::int64_t c = threadIdx.x; c < rows.classes; c += kBlock) weights += rows.weight(c);
  sum = group_reduce<kBlock>(sum, Sum{});
  weight = group_reduce<kBlock>(weight, Sum{});
  weights = group_reduce<kBlock>(weights, Sum{});
  if (threadIdx.x != 0) return;
  const float divisor = mean ? weight : 1.0f;
  totals[0] = divisor;
  totals[1] = weights;
  if (loss != nullptr) *loss = sum / divisor;
  if (first_bad != kNoChunk && fault->classes == 0) {
    const std::int64_t row = partial[first_bad].bad_row;
    *fault = *fault_on_host = {rows.classes, row, rows.labels[row], LabelFault::kCrossEntropy};
  }
}

// A logit's row is at outer index i / (classes * inner), inner index i % inner. separate: each row has a
// gradient of its own.
template <typename T, typename Index>
__global__ void backward_kernel(Rows<T> rows, const float* dloss, bool separate, const float* log_sum_exp,
                                const float* totals, Index count, T* dlogits) {
  const auto threads = static_cast<Index>(global_threads());
  const auto classes = static_cast<Index>(rows.classes), inner = static_cast<Index>(rows.inner);
  const float divisor = totals[0], weights = totals[1];
  for (auto i = static_cast<Index>(global_thread()); i < count; i += threads) {
    const Index line = i / inner, c = line % classes, r = line / classes * inner + i % inner;
    const std::int64_t label = rows.labels[r];
    float gradient = 0.0f;
    if (rows.exists(label) && rows.counts(label)) {
      const bool is_label = label == static_cast<std::int64_t>(c);
      gradient = dloss[separate ? r : 0] / divisor *
                 rows.function.gradient(static_cast<float>(rows.logits[i]), log_sum_exp[r], is_label,
                                        rows.weight(label), rows.weight(c), weights);
    }
    dlogits[i] = T(gradient);
  }
}

// One thread a row, where neighbouring rows lie beside each other: its label and what else it shares are read
// once for all classes.
template <typename T>
__global__ void row_backward_kernel(Rows<T> rows, const float* dloss, bool separate, const float* log_sum_exp,
                                    const float* totals, T* dlogits) {
  const float divisor = totals[0], weights = totals[1];
  for (std::int64_t r = global_thread(); r < rows.count; r += global_threads()) {
    const T* x = rows.row(r);
    T* dx = dlogits + (x - rows.logits);
    const std::int64_t label = rows.labels[r];
    const bool learns = rows.exists(label) && rows.counts(label);
    const float scale = learns ? dloss[separate ? r : 0] / divisor : 0.0f, lse = log_sum_exp[r];
    const float weight = learns ? rows.weight(label) : 0.0f;
    for (std::int64_t c = 0; c < rows.classes; ++c) {
      const float slope = rows.function.gradient(static_cast<float>(x[c * rows.inner]), lse, c == label,
                                                 weight, rows.weight(c), weights);
      dx[c * rows.inner] = T(learns ? scale * slope : 0.0f);
    }
  }
}

// One warp a row. The atomic additions are of whole numbers, exact in any order.
template <typename T>
__global__ void metrics_kernel(const T* logits, const std::int64_t* labels, std::int64_t rows,
                               std::int64_t classes, const float* loss, double* metrics) {
  const int lane = threadIdx.x % kWarp;
  float correct = 0.0f;  // of the rows of this warp
  for (std::int64_t row = global_thread() / kWarp; row < rows; row += global_threads() / kWarp) {
    const std::int64_t found = first_largest<kWarp>(logits + row * classes, classes, 1, 1.0f, lane);
    correct += found == labels[row] ? 1.0f : 0.0f;
  }
  correct = group_reduce<kBlock>(lane == 0 ? correct : 0.0f, Sum{});
  if (threadIdx.x == 0) atomicAdd(&metrics[1], static_cast<double>(correct));
  if (global_thread() == 0) {
    metrics[0] += static_cast<double>(*loss) * static_cast<double>(rows);
    metrics[2] += static_cast<double>(rows);
  }
}

template <typename T>
Rows<T> rows_of(const CrossEntropyViews& views, const CrossEntropyParams& params) {
  const std::int64_t classes = views.logits.shape[1];
  return {views.logits.as<const T>(),
          views.labels.as<const std::int64_t>(),
          views.class_weight.as<const float>(),
          views.labels.numel(),
          classes,
          views.logits.shape[2],
          params.ignore_index.value_or(0),
          params.ignore_index.has_value(),
          Term(params.label_smoothing, static_cast<double>(classes))};
}

}  // namespace

void cross_entropy_forward(const CrossEntropyViews& views, const TensorView& loss, const TensorView& terms,
                           const CrossEntropyParams& params) {
  visit_float("cross_entropy_forward", views.logits.dtype, [&]<typename T>() {
    const Rows<T> rows = rows_of<T>(views, params);
    const bool separate = params.reduction == LossReduction::None;
    const LabelFaultNotes notes = label_fault_notes(this_device());
    const auto run = [&]<int kThreads>() {
      constexpr std::int64_t kRows = kBlock / kThreads;
      const std::int64_t chunks = rows.count / kRows + (rows.count % kRows != 0);
      const Tensor room = Tensor::empty({chunks, sizeof(Partial)}, DType::U8, this_device());
      auto* partial = static_cast<Partial*>(room.raw().data);
      launch("cross_entropy_forward", forward_kernel<kThreads, T>, grid_for(chunks, 1), kBlock, 0,
             this_stream(), rows, chunks, views.log_sum_exp.as<float>(),
             separate ? terms.as<float>() : nullptr, partial);
      launch("cross_entropy_forward", totals_kernel<T>, 1, kBlock, 0, this_stream(), rows,
             static_cast<const Partial*>(partial), chunks, params.reduction == LossReduction::Mean,
             separate ? nullptr : loss.as<float>(), views.totals.as<float>(), notes.device, notes.host);
    };
    // Neighbouring threads read neighbouring addresses: classes of a row, or rows. A few classes would leave
    // most of a warp idle.
    if (rows.inner > 1 || rows.classes <= kWarp) {
      run.template operator()<1>();
    } else {
      visit_row_threads(rows.classes, run);
    }
  });
}

void cross_entropy_backward(const TensorView& dloss, const CrossEntropyViews& views,
                            const TensorView& dlogits, const CrossEntropyParams& params) {
  const std::int64_t count = views.logits.numel();
  visit_float("cross_entropy_backward", views.logits.dtype, [&]<typename T>() {
    const Rows<T> rows = rows_of<T>(views, params);
    if (rows.inner > 1) {
      launch("cross_entropy_backward", row_backward_kernel<T>, grid_for(rows.count, kBlock), kBlock, 0,
             this_stream(), rows, dloss.as<const float>(), params.reduction == LossReduction::None,
             views.log_sum_exp.as<const float>(), views.totals.as<const float>(), dlogits.as<T>());
      return;
    }
    visit_index(count, [&]<typename Index>() {
      launch("cross_entropy_backward", backward_kernel<T, Index>, grid_for(count, kBlock), kBlock, 0,
             this_stream(), rows, dloss.as<const float>(), params.reduction == LossReduction::None,
             views.log_sum_exp.as<const float>(), views.totals.as<const float>(), count, dlogits.as<T>());
    });
  });
}

void classification_metrics(const TensorView& logits, const TensorView& labels, const TensorView& loss,
                            const TensorView& metrics) {
  const std::int64_t rows = logits.shape[0];
  visit_float("classification_metrics", logits.dtype, [&]<typename T>() {
    launch("classification_metrics", metrics_kernel<T>, grid_for(rows, kBlock / kWarp), kBlock, 0,
           this_stream(), logits.as<const T>(), labels.as<const std::int64_t>(), rows, logits.shape[1],
           loss.as<const float>(), metrics.as<double>());
  });
}

}  // namespace dlcuda::kernels::cuda

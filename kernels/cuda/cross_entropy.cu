// Softmax with cross-entropy, fused. logits (N, C) contiguous, f32, f16 or bf16; labels (N), i64; arithmetic
// and losses in f32.
//
//   forward   log_sum_exp[r] = max + log sum exp(logits[r] - max);  row_loss[r] = log_sum_exp[r] - logits[r,
//   label]
//             loss = mean over r of row_loss, in a fixed order (reduction.cuh)
//   backward  dlogits[r, c] = dloss / N * (exp(logits[r, c] - log_sum_exp[r]) - (c == label[r]))
//   metrics   metrics[0] += loss * N;  metrics[1] += rows whose first largest logit is at the label;  [2] +=
//   N
//
// The forward pass saves log_sum_exp. Outputs are overwritten, metrics accumulate. A label out of range makes
// the row's loss NaN; it is never used as an index.
#include "dlcuda/kernels/cross_entropy.h"

#include "dlcuda/kernels/cuda/dtype.cuh"
#include "dlcuda/kernels/cuda/reduction.cuh"
#include "dlcuda/kernels/functors/cross_entropy.h"
#include "dlcuda/kernels/reduce.h"

namespace dlcuda::kernels::cuda {
namespace {

using Term = functors::CrossEntropy<float>;

template <int kThreads, typename T>
__global__ void forward_kernel(const T* logits, const std::int64_t* labels, std::int64_t rows,
                               std::int64_t classes, float* log_sum_exp, float* row_loss) {
  const int thread = threadIdx.x % kThreads;
  for (std::int64_t row = global_thread() / kThreads; row < rows; row += global_threads() / kThreads) {
    const T* in = logits + row * classes;
    float largest = Max::kIdentity;
    for (std::int64_t c = thread; c < classes; c += kThreads) {
      largest = Max{}(largest, static_cast<float>(in[c]));
    }
    largest = group_reduce<kThreads>(largest, Max{});
    float sum = 0.0f;
    for (std::int64_t c = thread; c < classes; c += kThreads) {
      sum += functors::exp(static_cast<float>(in[c]) - largest);
    }
    sum = group_reduce<kThreads>(sum, Sum{});
    if (thread == 0) {
      const std::int64_t label = labels[row];
      const float total = Term::log_sum_exp(largest, sum);
      log_sum_exp[row] = total;
      row_loss[row] = label >= 0 && label < classes ? Term::loss(total, static_cast<float>(in[label])) : NAN;
    }
  }
}

template <typename T, typename Index>
__global__ void backward_kernel(const float* dloss, const T* logits, const std::int64_t* labels,
                                const float* log_sum_exp, Index count, Index classes, float rows,
                                T* dlogits) {
  const float scale = *dloss / rows;
  const auto threads = static_cast<Index>(global_threads());
  for (auto i = static_cast<Index>(global_thread()); i < count; i += threads) {
    const Index row = i / classes;
    const bool at_label = static_cast<std::int64_t>(i % classes) == labels[row];
    dlogits[i] = T(Term::gradient(static_cast<float>(logits[i]), log_sum_exp[row], at_label, scale));
  }
}

// One block: a step's metrics are few, and one thread adds them in one order.
__global__ void metrics_kernel(const std::int64_t* predictions, const std::int64_t* labels, std::int64_t rows,
                               const float* loss, double* metrics) {
  float correct = 0.0f;  // at most rows / kBlock a thread, summed exactly below 2^24
  for (std::int64_t row = threadIdx.x; row < rows; row += kBlock) {
    correct += predictions[row] == labels[row] ? 1.0f : 0.0f;
  }
  correct = group_reduce<kBlock>(correct, Sum{});
  if (threadIdx.x == 0) {
    metrics[0] += static_cast<double>(*loss) * static_cast<double>(rows);
    metrics[1] += correct;
    metrics[2] += static_cast<double>(rows);
  }
}

}  // namespace

void cross_entropy_forward(const TensorView& logits, const TensorView& labels, const TensorView& loss,
                           const TensorView& log_sum_exp, const TensorView& row_loss) {
  const std::int64_t rows = logits.shape[0], classes = logits.shape[1];
  visit_float("cross_entropy_forward", logits.dtype, [&]<typename T>() {
    visit_row_threads(classes, [&]<int kThreads>() {
      launch("cross_entropy_forward", forward_kernel<kThreads, T>, grid_for(rows, kBlock / kThreads), kBlock,
             0, this_stream(), logits.as<const T>(), labels.as<const std::int64_t>(), rows, classes,
             log_sum_exp.as<float>(), row_loss.as<float>());
    });
  });
  reduce_middle<Sum>("cross_entropy_forward", row_loss.as<const float>(), 1, rows, 1, loss.as<float>(),
                     static_cast<float>(rows));
}

void cross_entropy_backward(const TensorView& dloss, const TensorView& logits, const TensorView& labels,
                            const TensorView& log_sum_exp, const TensorView& dlogits) {
  const std::int64_t count = logits.numel(), classes = logits.shape[1];
  visit_float("cross_entropy_backward", logits.dtype, [&]<typename T>() {
    visit_index(count, [&]<typename Index>() {
      launch("cross_entropy_backward", backward_kernel<T, Index>, grid_for(count, kBlock), kBlock, 0,
             this_stream(), dloss.as<const float>(), logits.as<const T>(), labels.as<const std::int64_t>(),
             log_sum_exp.as<const float>(), count, classes, static_cast<float>(logits.shape[0]),
             dlogits.as<T>());
    });
  });
}

void classification_metrics(const TensorView& logits, const TensorView& labels, const TensorView& loss,
                            const TensorView& metrics) {
  const std::int64_t rows = logits.shape[0];
  TensorView rows_by_class = logits;
  rows_by_class.rank = 3;
  rows_by_class.shape[2] = 1;
  const Tensor predictions = Tensor::empty({rows}, DType::I64, this_device());
  argmax(rows_by_class, predictions.raw(), false);
  launch("classification_metrics", metrics_kernel, 1, kBlock, 0, this_stream(),
         static_cast<const std::int64_t*>(predictions.data<std::int64_t>()), labels.as<const std::int64_t>(),
         rows, loss.as<const float>(), metrics.as<double>());
}

}  // namespace dlcuda::kernels::cuda

#include "dlcuda/kernels/cross_entropy.h"

#include "dlcuda/kernels/cpu/loops.h"
#include "dlcuda/kernels/functors/cross_entropy.h"

namespace dlcuda::kernels::cpu::DLCUDA_ISA {

void cross_entropy_forward(const TensorView& logits, const TensorView& labels, const TensorView& loss,
                           const TensorView& log_sum_exp, const TensorView& row_loss) {
  visit_floating(logits.dtype, [&]<typename T>() {
    using C = compute_t<T>;
    const std::int64_t rows = logits.shape[0], classes = logits.shape[1];
    const T* x = logits.as<const T>();
    const std::int64_t* label = labels.as<const std::int64_t>();
    C* lse = log_sum_exp.as<C>();
    C* each = row_loss.as<C>();
    parallel_for(rows, kGrain / (8 * classes) + 1, [=](std::int64_t begin, std::int64_t end) {
      for (std::int64_t n = begin; n < end; ++n) {
        const T* row = x + n * classes;
        C largest = static_cast<C>(row[0]);
        for (std::int64_t c = 1; c < classes; ++c) {
          const C value = static_cast<C>(row[c]);
          largest = value > largest ? value : largest;
        }
        C sum = 0;
        for (std::int64_t c = 0; c < classes; ++c) sum += functors::exp(static_cast<C>(row[c]) - largest);
        lse[n] = functors::CrossEntropy<C>::log_sum_exp(largest, sum);
        each[n] = functors::CrossEntropy<C>::loss(lse[n], static_cast<C>(row[label[n]]));
      }
    });
    C total = 0;
    for (std::int64_t n = 0; n < rows; ++n) total += each[n];
    *loss.as<C>() = total / static_cast<C>(rows);
  });
}

void cross_entropy_backward(const TensorView& dloss, const TensorView& logits, const TensorView& labels,
                            const TensorView& log_sum_exp, const TensorView& dlogits) {
  visit_floating(logits.dtype, [&]<typename T>() {
    using C = compute_t<T>;
    const std::int64_t rows = logits.shape[0], classes = logits.shape[1];
    const T* x = logits.as<const T>();
    T* dx = dlogits.as<T>();
    const std::int64_t* label = labels.as<const std::int64_t>();
    const C* lse = log_sum_exp.as<const C>();
    const C factor = *dloss.as<const C>() / static_cast<C>(rows);
    parallel_for(rows, kGrain / (8 * classes) + 1, [=](std::int64_t begin, std::int64_t end) {
      for (std::int64_t n = begin; n < end; ++n) {
        for (std::int64_t c = 0; c < classes; ++c) {
          dx[n * classes + c] = static_cast<T>(functors::CrossEntropy<C>::gradient(
              static_cast<C>(x[n * classes + c]), lse[n], c == label[n], factor));
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

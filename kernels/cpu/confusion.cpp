#include "dlcuda/kernels/confusion.h"

#include "dlcuda/kernels/cpu/loops.h"

namespace dlcuda::kernels::cpu::DLCUDA_ISA {

// One thread: what comes before it, such as the loss of the same rows, costs far more.
void confusion_metrics(const TensorView& predictions, const TensorView& labels, const TensorView& loss,
                       const TensorView& counts, const TensorView& metrics) {
  const std::int64_t classes = counts.shape[0], rows = labels.numel();
  const auto* predicted = predictions.as<const std::int64_t>();
  const auto* label = labels.as<const std::int64_t>();
  auto* count = counts.as<std::int64_t>();
  for (std::int64_t r = 0; r < rows; ++r) {
    const bool counted = label[r] >= 0 && label[r] < classes && predicted[r] >= 0 && predicted[r] < classes;
    if (counted) ++count[label[r] * classes + predicted[r]];
  }
  const auto images = static_cast<double>(labels.shape[0]);
  auto* running = metrics.as<double>();
  running[0] += images * (loss.dtype == DType::F64 ? *loss.as<const double>()
                                                   : static_cast<double>(*loss.as<const float>()));
  running[1] += images;
}

}  // namespace dlcuda::kernels::cpu::DLCUDA_ISA

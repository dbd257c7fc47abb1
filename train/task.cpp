#include "dlcuda/train/task.h"

#include "dlcuda/core/memory/tag.h"
#include "dlcuda/kernels/cross_entropy.h"
#include "dlcuda/layers/functional.h"

namespace dlcuda {

ClassificationTask::ClassificationTask(Device device) : metrics_(Tensor::zeros({3}, DType::F64, device)) {}

Tensor ClassificationTask::loss(Module& model, const Batch& batch) {
  const Tensor logits = model(batch.images);  // (N, classes)
  static const MemoryTag kTag("loss");
  const MemoryTagScope scope(kTag);
  const Tensor loss = functional::cross_entropy(logits, batch.labels);
  kernels::classification_metrics(logits.detach(), batch.labels, loss.detach(), metrics_);
  return loss;
}

void ClassificationTask::reset() { metrics_.zero(); }

Figures ClassificationTask::figures() const {
  const auto sums = metrics_.values<double>();
  if (sums[2] == 0) return {};
  return {.loss = sums[0] / sums[2], .score = sums[1] / sums[2], .count = std::int64_t(sums[2])};
}

}  // namespace dlcuda

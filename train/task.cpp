#include "dlcuda/train/task.h"

#include <cmath>

#include "dlcuda/core/check.h"
#include "dlcuda/core/memory/tag.h"
#include "dlcuda/kernels/confusion.h"
#include "dlcuda/kernels/cross_entropy.h"
#include "dlcuda/kernels/layout.h"
#include "dlcuda/kernels/reduce.h"
#include "dlcuda/layers/functional.h"

namespace dlcuda {
namespace {

/// The middle of labels (N, H, W), of the size of logits (N, classes, H', W').
Tensor middle(const Tensor& labels, const Tensor& logits) {
  DLCUDA_CHECK(logits.rank() == 4 && labels.rank() == 3 && logits.size(2) <= labels.size(1) &&
                   logits.size(3) <= labels.size(2),
               ShapeError,
               "segmentation: logits must be (N, classes, H, W), not larger than labels (N, H, W); got {} "
               "and {}",
               to_string(logits.shape()), to_string(labels.shape()));
  Tensor result = labels;
  for (const int axis : {1, 2}) {
    const std::int64_t rest = labels.size(axis) - logits.size(axis + 1);
    if (rest > 0) result = kernels::narrow(result, axis, rest / 2, logits.size(axis + 1));
  }
  return result;
}

}  // namespace

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

SegmentationTask::SegmentationTask(Device device, std::int64_t classes,
                                   const std::vector<float>& class_weight)
    : counts_(Tensor::zeros({classes, classes}, DType::I64, device)),
      metrics_(Tensor::zeros({2}, DType::F64, device)) {
  if (class_weight.empty()) return;
  DLCUDA_CHECK(std::int64_t(class_weight.size()) == classes, ArgumentError,
               "segmentation: {} class weights for {} classes", class_weight.size(), classes);
  class_weight_ = Tensor::from_values(class_weight, {classes}, device);
}

Tensor SegmentationTask::loss(Module& model, const Batch& batch) {
  const Tensor logits = model(batch.images);  // (N, classes, H', W')
  static const MemoryTag kTag("loss");
  const MemoryTagScope scope(kTag);
  const Tensor labels = middle(batch.labels, logits);
  const Tensor loss = functional::cross_entropy(logits, labels, class_weight_, {.ignore_index = kNoLabel});
  kernels::confusion_metrics(kernels::argmax(logits.detach(), 1), labels, loss.detach(), counts_, metrics_);
  return loss;
}

void SegmentationTask::reset() {
  counts_.zero();
  metrics_.zero();
}

Figures SegmentationTask::figures() const {
  const auto sums = metrics_.values<double>();
  if (sums[1] == 0) return {};
  double sum = 0;
  std::int64_t occurring = 0;
  for (const double overlap : class_overlaps()) {
    if (std::isnan(overlap)) continue;
    sum += overlap;
    ++occurring;
  }
  return {.loss = sums[0] / sums[1],
          .score = occurring == 0 ? 0 : sum / double(occurring),
          .count = std::int64_t(sums[1])};
}

std::vector<double> SegmentationTask::class_overlaps() const {
  const auto counts = counts_.values<std::int64_t>();
  const auto classes = std::size_t(counts_.size(0));
  std::vector<double> overlaps(classes);
  for (std::size_t c = 0; c < classes; ++c) {
    std::int64_t either = -counts[c * classes + c];
    for (std::size_t other = 0; other < classes; ++other) {
      either += counts[c * classes + other] + counts[other * classes + c];
    }
    overlaps[c] = double(counts[c * classes + c]) / double(either);  // 0 / 0 where there is neither
  }
  return overlaps;
}

}  // namespace dlcuda

#include "dlcuda/models/yolov2/detection_task.h"

#include <limits>

#include "dlcuda/core/check.h"
#include "dlcuda/core/memory/tag.h"
#include "dlcuda/kernels/arithmetic.h"
#include "dlcuda/layers/functional/detection.h"
#include "dlcuda/models/yolov2/yolov2.h"

namespace dlcuda {
namespace {

/// The boxes of each picture of a batch.
std::vector<std::vector<LabelledBox>> read_truths(const Tensor& labels, const Tensor& boxes) {
  const auto label = labels.values<std::int64_t>();
  const auto corner = boxes.values<float>();
  const auto pictures = std::size_t(labels.size(0)), each = std::size_t(labels.size(1));
  std::vector<std::vector<LabelledBox>> result(pictures);
  for (std::size_t i = 0; i < label.size(); ++i) {
    if (label[i] == kNoLabel) continue;
    const float* c = &corner[4 * i];
    result[i / each].push_back({c[0], c[1], c[2], c[3], label[i]});
  }
  return result;
}

}  // namespace

DetectionTask::DetectionTask(Device device, std::int64_t classes, const kernels::YoloLossParams& params)
    : classes_(classes),
      params_(params),
      pictures_(Tensor::zeros({1}, DType::I64, device)),
      loss_(Tensor::zeros(Shape{}, DType::F32, device)),
      count_(Tensor::zeros({1}, DType::I64, device)) {}

Tensor DetectionTask::loss(Module& model, const Batch& batch) {
  const auto* detector = dynamic_cast<const YoloDetector*>(&model);
  DLCUDA_CHECK(detector != nullptr && detector->classes() == classes_, ArgumentError,
               "DetectionTask: expected a YOLOv2 network for {} classes, got {}", classes_, model.describe());
  DLCUDA_CHECK(batch.boxes.defined(), ArgumentError,
               "DetectionTask: the batch has no boxes; take a dataset with TargetKind::Boxes");
  // Before the loss, which reads it: in a recorded step the backward pass reads it once more.
  if (model.is_training()) kernels::advance_counter(pictures_, batch.size());
  const Tensor raw = model(batch.images);  // (N, A (5 + C), H / stride, W / stride)
  static const MemoryTag kTag("loss");
  const MemoryTagScope scope(kTag);
  const Tensor loss =
      functional::yolo_loss({raw, detector->anchors(), batch.labels, batch.boxes, pictures_}, params_);
  kernels::accumulate(loss_, kernels::scale(loss.detach(), double(batch.size())));
  kernels::advance_counter(count_, batch.size());
  if (!model.is_training()) {
    seen_.push_back(
        {detect(raw, detector->anchors(), classes_, kScored), batch.labels.clone(), batch.boxes.clone()});
  }
  return loss;
}

void DetectionTask::reset() {
  loss_.zero();
  count_.zero();
  seen_.clear();
}

double DetectionTask::score() const {
  if (seen_.empty()) return std::numeric_limits<double>::quiet_NaN();
  AveragePrecision precision(classes_);
  for (const Seen& batch : seen_) {
    const auto found = read_detections(batch.found);
    const auto truths = read_truths(batch.labels, batch.boxes);
    for (std::size_t n = 0; n < found.size(); ++n) precision.add(found[n], truths[n]);
  }
  return precision.mean();
}

Figures DetectionTask::figures() const {
  const auto count = count_.item<std::int64_t>();
  if (count == 0) return {};
  return {.loss = double(loss_.item<float>()) / double(count), .score = score(), .count = count};
}

}  // namespace dlcuda

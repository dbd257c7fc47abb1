#include "dlcuda/models/zoo_training.h"

#include "dlcuda/core/check.h"
#include "dlcuda/models/yolov2/detection_task.h"

namespace dlcuda {

TargetFormat training_targets(Prediction prediction) {
  constexpr std::int64_t kMostBoxes = 30;
  switch (prediction) {
    case Prediction::Classes:
      return {.kind = TargetKind::Class};
    case Prediction::Boxes:
      return {.kind = TargetKind::Boxes, .most_boxes = kMostBoxes};
    case Prediction::Pixels:
      return {.kind = TargetKind::Mask};
  }
  DLCUDA_THROW(ArgumentError, "unknown kind of prediction {}", int(prediction));
}

std::unique_ptr<Task> make_training_task(Prediction prediction, std::int64_t classes, Device device) {
  switch (prediction) {
    case Prediction::Classes:
      return std::make_unique<ClassificationTask>(device);
    case Prediction::Boxes:
      return std::make_unique<DetectionTask>(device, classes);
    case Prediction::Pixels:
      return std::make_unique<SegmentationTask>(device, classes);
  }
  DLCUDA_THROW(ArgumentError, "unknown kind of prediction {}", int(prediction));
}

}  // namespace dlcuda

// Training of YOLOv2: what a batch of boxes costs, and how well boxes are found.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "dlcuda/core/macros.h"
#include "dlcuda/kernels/yolo_loss.h"
#include "dlcuda/models/yolov2/detection.h"
#include "dlcuda/train/task.h"

namespace dlcuda DLCUDA_API {

/// For YoloDetectors and batches with boxes. The score is the mean average precision at an IoU of 0.5, of a
/// model in inference only: while training it is NaN, because boxes would have to leave the device after
/// every step.
class DetectionTask : public Task {
 public:
  /// What the score looks at: also what is hardly believed, because precision is measured at every recall.
  static constexpr DetectionParams kScored{.score = 0.005, .overlap = 0.45, .most = 100};

  DetectionTask(Device device, std::int64_t classes, const kernels::YoloLossParams& params = {});
  /// Throws ArgumentError for a model that is no YoloDetector of so many classes, or a batch without boxes.
  Tensor loss(Module& model, const Batch& batch) override;
  void reset() override;
  Figures figures() const override;
  std::string score_name() const override { return "mAP@0.5"; }

 private:
  /// A batch that was looked at, still on the device.
  struct Seen {
    DetectionTensors found;
    Tensor labels, boxes;
  };
  double score() const;

  std::int64_t classes_;
  kernels::YoloLossParams params_;
  Tensor pictures_;  // i64 (1): trained with so far, what kernels::YoloLossInputs::seen is
  Tensor loss_;      // f32 scalar: summed over pictures
  Tensor count_;     // i64 (1)
  std::vector<Seen> seen_;
};

}  // namespace dlcuda

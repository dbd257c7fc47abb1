// What the models of the zoo are trained with: the targets they need and the task, by what they predict.
#pragma once

#include <cstdint>
#include <memory>

#include "dlcuda/core/macros.h"
#include "dlcuda/data/target.h"
#include "dlcuda/models/zoo.h"
#include "dlcuda/train/task.h"

namespace dlcuda DLCUDA_API {

/// Boxes: at most 30 of a picture, as Darknet trains.
TargetFormat training_targets(Prediction prediction);
/// ClassificationTask, DetectionTask or SegmentationTask.
std::unique_ptr<Task> make_training_task(Prediction prediction, std::int64_t classes, Device device);

}  // namespace dlcuda

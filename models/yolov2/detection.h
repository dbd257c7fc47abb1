// From raw predictions of YOLOv2 to boxes, classes and scores.
#pragma once

#include <cstdint>
#include <vector>

#include "dlcuda/core/macros.h"
#include "dlcuda/core/tensor.h"
#include "dlcuda/train/average_precision.h"

namespace dlcuda DLCUDA_API {

struct DetectionParams {
  double score = 0.25;      ///< what has a lower one is left out
  double overlap = 0.45;    ///< a box goes when its IoU with a better one of its class is above this
  std::int64_t most = 100;  ///< boxes kept of a picture; the best ones
};

/// A batch's detections on its device, a picture's by falling score. What lies beyond `count` means nothing.
struct DetectionTensors {
  Tensor boxes;   ///< (N, most, 4) f32: corners in parts of the picture's width and height; may reach outside
  Tensor labels;  ///< (N, most) i64
  Tensor scores;  ///< (N, most) f32: objectness times the probability of the class
  Tensor count;   ///< (N) i32
};

/// raw (N, A (5 + classes), H, W) and anchors (A, 2) as kernels::yolo_decode() takes them, but raw of any
/// floating-point dtype. Each prediction stands for its most probable class. Nothing waits for the device.
DetectionTensors detect(const Tensor& raw, const Tensor& anchors, std::int64_t classes,
                        const DetectionParams& params = {});

/// For each picture its detections, cut off at its borders; waits for the device.
std::vector<std::vector<Detection>> read_detections(const DetectionTensors& tensors);

}  // namespace dlcuda

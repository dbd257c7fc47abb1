// The prediction layer of YOLOv2 (Redmon & Farhadi, 2017) turned into boxes and probabilities.
#pragma once

#include <cstdint>

#include "dlcuda/kernels/backend.h"

namespace dlcuda {
namespace kernels DLCUDA_API {

/// Of K = H * W * A predictions a picture; prediction (h * W + w) * A + a comes from cell (h, w) and anchor
/// a.
struct YoloPredictions {
  Tensor boxes;          ///< (N, K, 4) corners, in parts of the picture's width and height (0 to 1 is inside)
  Tensor objectness;     ///< (N, K) sigmoid
  Tensor probabilities;  ///< (N, K, C) softmax over the classes; of an object, if there is one
};

/// raw (N, A * (5 + C), H, W), in either format: for each anchor tx, ty, tw, th, objectness, C class logits.
/// anchors (A, 2): width and height in cells, f32 (f64 with f64). In cells: x = w + sigmoid(tx), y = h +
/// sigmoid(ty), width = anchor width * e^tw, height = anchor height * e^th. No gradient.
YoloPredictions yolo_decode(const Tensor& raw, const Tensor& anchors, std::int64_t classes);

DLCUDA_LOOP_BACKENDS(void yolo_decode(const TensorView& raw, const TensorView& anchors,
                                      const TensorView& boxes, const TensorView& objectness,
                                      const TensorView& probabilities);)

}  // namespace kernels
}  // namespace dlcuda

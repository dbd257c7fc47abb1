// Boxes with gradients. See layers/functional.h; kernels/boxes.h says what a box is. Targets and results that
// need no gradient are made with kernels/boxes.h, kernels/yolo.h and kernels/nms.h.
#pragma once

#include "dlcuda/kernels/boxes.h"
#include "dlcuda/kernels/yolo_loss.h"

namespace dlcuda {
namespace functional DLCUDA_API {

using kernels::BoxCoding;
using kernels::BoxOverlap;
using kernels::YoloLossInputs;
using kernels::YoloLossParams;

/// IoU or GIoU of rows: a (N, 4), b (N, 4) -> (N).
Tensor box_overlap(const Tensor& a, const Tensor& b, BoxOverlap kind);
/// (..., 4) -> (..., 4)
Tensor boxes_to_corners(const Tensor& x);
Tensor boxes_to_centers(const Tensor& x);
/// offsets (N, 4), anchors (N, 4) -> corners (N, 4); differentiable by the offsets.
Tensor box_decode(const Tensor& offsets, const Tensor& anchors, const BoxCoding& coding = {});
/// A scalar; differentiable by inputs.raw.
Tensor yolo_loss(const YoloLossInputs& inputs, const YoloLossParams& params = {});

}  // namespace functional
}  // namespace dlcuda

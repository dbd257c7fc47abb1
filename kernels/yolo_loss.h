// The loss of YOLOv2 (Redmon & Farhadi, 2017) as Darknet's "region" layer has it. For one picture:
//
//   sum over all predictions of
//     object's      coordinate * max(2 - w h, 0) / 2 * ((tx - sx)^2 + (ty - sy)^2 + (tw - rw)^2 + (th -
//     rh)^2)
//                   + object / 2 * (t - so)^2 + classification * -log softmax(class logits)[label]
//     others        no_object / 2 * so^2, or nothing where the predicted box has an IoU above `threshold`
//     with
//                   some box of the picture; and while the net is young prior / 2 * ((1/2 - sx)^2 + (1/2 -
//                   sy)^2
//                   + rw^2 + rh^2)
//
// with sx, sy, so the sigmoids of x, y and objectness, rw, rh the raw logarithms of the size. A box belongs
// to the cell where its centre is, and there to the anchor whose size overlaps its own most, the first of
// equals; of several boxes that want one prediction the last one gets it. (tx, ty) is the centre within the
// cell, (tw, th) the logarithms of size / anchor, (w, h) the box's part of the picture. t is the IoU of the
// predicted box with its own, taken for a constant, or 1.
#pragma once

#include <cstdint>

#include "dlcuda/kernels/backend.h"

namespace dlcuda {
namespace kernels DLCUDA_API {

struct YoloLossParams {
  double object = 5;
  double no_object = 1;
  double coordinate = 1;
  double classification = 1;
  double threshold = 0.6;
  bool overlap_target = true;  ///< t is the IoU ("rescore" in Darknet); else 1
  double prior = 0.01;
  std::int64_t prior_pictures = 12800;  ///< the net is young while it has seen fewer
};

/// All on one device; contiguous but for raw, which is dense in either format.
struct YoloLossInputs {
  Tensor raw;      ///< (N, A (5 + C), H, W), as yolo_decode() takes it; N >= 1
  Tensor anchors;  ///< (A, 2): width and height in cells, positive; f32 (f64 with f64)
  Tensor labels;   ///< (N, M) i64: classes, 0 <= label < C; negative: no box
  /// (N, M, 4), of the anchors' dtype: corners in parts of the picture. A box without an area, or whose
  /// centre is outside the picture, counts for none.
  Tensor boxes;
  Tensor seen = {};  ///< (1) i64: pictures seen so far; undefined: enough of them, so that no prior is kept
};

struct YoloLossOutput {
  Tensor loss;  ///< scalar: mean over the pictures; f32 (f64 with f64)
  /// (N, H W A) i32, for the backward pass: which box of the picture a prediction belongs to, kYoloNoObject,
  /// or kYoloIgnored.
  Tensor assignment;
};
inline constexpr std::int32_t kYoloNoObject = -1;
inline constexpr std::int32_t kYoloIgnored = -2;

/// A label beyond the classes throws ArgumentError on the CPU; on CUDA it does what cross_entropy_forward()
/// says. Bits repeat: each prediction looks for its own box, and the terms add up in a fixed order.
YoloLossOutput yolo_loss_forward(const YoloLossInputs& inputs, const YoloLossParams& params);
/// Gradient with respect to raw, like it. dloss: a scalar of the loss's dtype.
Tensor yolo_loss_backward(const Tensor& dloss, const YoloLossInputs& inputs, const Tensor& assignment,
                          const YoloLossParams& params);

struct YoloLossViews {
  TensorView raw, anchors, labels, boxes, seen, assignment;

  template <typename Visit>
  void for_each_view(const Visit& visit) const {
    for (const TensorView* view : {&raw, &anchors, &labels, &boxes, &seen, &assignment}) visit(*view);
  }
};

// terms (N, H W A), of the loss's dtype: room for what is added up.
DLCUDA_LOOP_BACKENDS(void yolo_loss_forward(const YoloLossViews& views, const TensorView& terms,
                                            const TensorView& loss, const YoloLossParams& params);
                     void yolo_loss_backward(const TensorView& dloss, const YoloLossViews& views,
                                             const TensorView& draw, const YoloLossParams& params);)

}  // namespace kernels
}  // namespace dlcuda

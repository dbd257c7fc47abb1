#include "dlcuda/layers/functional/detection.h"

#include "dlcuda/layers/recording.h"

namespace dlcuda::functional {

using autograd::any_requires_grad;
using autograd::BackwardContext;
using autograd::record;
using autograd::Saved;

Tensor box_overlap(const Tensor& a, const Tensor& b, BoxOverlap kind) {
  Tensor y = kernels::box_overlap(a, b, kind);
  if (!any_requires_grad({a, b})) return y;
  return record("box_overlap", std::move(y), {a, b},
                [saved_a = Saved(a), saved_b = Saved(b), kind](const BackwardContext& context) {
                  auto [da, db] =
                      kernels::box_overlap_backward(context.grad, saved_a.get(), saved_b.get(), kind);
                  return std::vector{std::move(da), std::move(db)};
                });
}

Tensor boxes_to_corners(const Tensor& x) {
  return record("boxes_to_corners", kernels::boxes_to_corners(x), {x}, [](const BackwardContext& context) {
    return std::vector{kernels::boxes_to_corners_backward(context.grad)};
  });
}

Tensor boxes_to_centers(const Tensor& x) {
  return record("boxes_to_centers", kernels::boxes_to_centers(x), {x}, [](const BackwardContext& context) {
    return std::vector{kernels::boxes_to_centers_backward(context.grad)};
  });
}

Tensor box_decode(const Tensor& offsets, const Tensor& anchors, const BoxCoding& coding) {
  Tensor y = kernels::box_decode(offsets, anchors, coding);
  if (!any_requires_grad({offsets})) return y;
  return record("box_decode", std::move(y), {offsets},
                [saved_offsets = Saved(offsets), saved_anchors = Saved(anchors),
                 coding](const BackwardContext& context) {
                  return std::vector{kernels::box_decode_backward(context.grad, saved_offsets.get(),
                                                                  saved_anchors.get(), coding)};
                });
}

Tensor yolo_loss(const YoloLossInputs& inputs, const YoloLossParams& params) {
  kernels::YoloLossOutput out = kernels::yolo_loss_forward(inputs, params);
  if (!any_requires_grad({inputs.raw})) return out.loss;
  return record(
      "yolo_loss", std::move(out.loss), {inputs.raw},
      [raw = Saved(inputs.raw), anchors = Saved(inputs.anchors), labels = Saved(inputs.labels),
       boxes = Saved(inputs.boxes), seen = Saved(inputs.seen), assignment = Saved(out.assignment),
       params](const BackwardContext& context) {
        const YoloLossInputs saved{raw.get(), anchors.get(), labels.get(), boxes.get(), seen.get()};
        return std::vector{kernels::yolo_loss_backward(context.grad, saved, assignment.get(), params)};
      });
}

}  // namespace dlcuda::functional

#include "dlcuda/kernels/yolo_loss.h"

#include <limits>

#include "dlcuda/core/label_fault.h"
#include "dlcuda/kernels/checks.h"
#include "dlcuda/kernels/dispatch.h"

namespace dlcuda::kernels {
namespace {

DType arithmetic(const Tensor& raw) { return raw.dtype() == DType::F64 ? DType::F64 : DType::F32; }

/// Returns how many predictions a picture has.
std::int64_t check(const char* op, const YoloLossInputs& in, const YoloLossParams& params) {
  require_floating(op, "raw", in.raw);
  require_rank(op, "raw", in.raw, 4);
  require_dense(op, "raw", in.raw);
  const auto require = [&](const char* name, const Tensor& x, DType dtype, int rank) {
    require_dtype(op, name, x, dtype);
    require_rank(op, name, x, rank);
    require_contiguous(op, name, x);
    require_device(op, name, x, in.raw.device());
  };
  require("anchors", in.anchors, arithmetic(in.raw), 2);
  require("labels", in.labels, DType::I64, 2);
  require("boxes", in.boxes, arithmetic(in.raw), 3);
  const std::int64_t pictures = in.raw.size(0), each = in.anchors.size(0), channels = in.raw.size(1);
  require_shape(op, "anchors", in.anchors, Shape{each, 2});
  require_shape(op, "labels", in.labels, Shape{pictures, in.labels.size(1)});
  require_shape(op, "boxes", in.boxes, Shape{pictures, in.labels.size(1), 4});
  DLCUDA_CHECK(pictures >= 1, ShapeError, "{}: raw must hold at least one picture, got shape {}", op,
               to_string(in.raw.shape()));
  DLCUDA_CHECK(each >= 1, ShapeError, "{}: anchors must have at least one row, got shape {}", op,
               to_string(in.anchors.shape()));
  DLCUDA_CHECK(channels % each == 0 && channels / each > 5, ShapeError,
               "{}: raw must have {} x (5 + classes) channels for {} anchors, got shape {}", op, each, each,
               to_string(in.raw.shape()));
  DLCUDA_CHECK(in.labels.numel() <= std::numeric_limits<std::int32_t>::max(), ShapeError,
               "{}: labels must have less than 2^31 elements, got shape {}", op,
               to_string(in.labels.shape()));
  if (in.seen.defined()) {
    require("seen", in.seen, DType::I64, 1);
    require_shape(op, "seen", in.seen, Shape{1});
  }
  for (const auto& [name, scale] : {std::pair("object", params.object),
                                    {"no_object", params.no_object},
                                    {"coordinate", params.coordinate},
                                    {"classification", params.classification},
                                    {"prior", params.prior}}) {
    DLCUDA_CHECK(scale >= 0, ArgumentError, "{}: {} must not be negative, got {}", op, name, scale);
  }
  DLCUDA_CHECK(params.threshold >= 0 && params.threshold <= 1, ArgumentError,
               "{}: threshold must be between 0 and 1, got {}", op, params.threshold);
  return each * in.raw.size(2) * in.raw.size(3);
}

YoloLossViews views_of(const YoloLossInputs& in, const Tensor& assignment) {
  return {in.raw.raw(),   in.anchors.raw(),       in.labels.raw(),
          in.boxes.raw(), optional_view(in.seen), assignment.raw()};
}

void check_label_values(const TensorView& labels, std::int64_t classes) {
  const auto* label = labels.as<const std::int64_t>();
  for (std::int64_t i = 0; i < labels.numel(); ++i) {
    if (label[i] >= classes) throw_label_fault({classes, i, label[i], LabelFault::kYoloLoss});
  }
}

}  // namespace

YoloLossOutput yolo_loss_forward(const YoloLossInputs& in, const YoloLossParams& params) {
  const std::int64_t predictions = check("yolo_loss", in, params);
  const Device device = in.raw.device();
  if (device.is_cpu()) {
    capture::call(check_label_values, in.labels.raw(), in.raw.size(1) / in.anchors.size(0) - 5);
  }
  const Shape shape{in.raw.size(0), predictions};
  YoloLossOutput out{Tensor::empty(Shape{}, arithmetic(in.raw), device),
                     Tensor::empty(shape, DType::I32, device)};
  const Tensor terms = Tensor::empty(shape, arithmetic(in.raw), device);
  DLCUDA_DISPATCH_LOOPS(device, yolo_loss_forward, views_of(in, out.assignment), terms.raw(), out.loss.raw(),
                        params);
  return out;
}

Tensor yolo_loss_backward(const Tensor& dloss, const YoloLossInputs& in, const Tensor& assignment,
                          const YoloLossParams& params) {
  const char* op = "yolo_loss_backward";
  const std::int64_t predictions = check(op, in, params);
  require_dtype(op, "dloss", dloss, arithmetic(in.raw));
  require_shape(op, "dloss", dloss, Shape{});
  require_device(op, "dloss", dloss, in.raw.device());
  require_dtype(op, "assignment", assignment, DType::I32);
  require_shape(op, "assignment", assignment, Shape{in.raw.size(0), predictions});
  require_contiguous(op, "assignment", assignment);
  require_device(op, "assignment", assignment, in.raw.device());
  Tensor draw = Tensor::empty_like(in.raw);
  DLCUDA_DISPATCH_LOOPS(in.raw.device(), yolo_loss_backward, dloss.raw(), views_of(in, assignment),
                        draw.raw(), params);
  return draw;
}

}  // namespace dlcuda::kernels

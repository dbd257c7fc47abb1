#include "dlcuda/kernels/cross_entropy.h"

#include "dlcuda/core/label_fault.h"
#include "dlcuda/kernels/axis_layout.h"
#include "dlcuda/kernels/checks.h"
#include "dlcuda/kernels/dispatch.h"

namespace dlcuda::kernels {
namespace {

DType loss_dtype(const Tensor& logits) { return logits.dtype() == DType::F64 ? DType::F64 : DType::F32; }

void check(const char* op, const Tensor& logits, const Tensor& labels, const Tensor& class_weight,
           const CrossEntropyParams& params) {
  require_floating(op, "logits", logits);
  DLCUDA_CHECK(logits.rank() >= 2, ShapeError, "{}: logits must be (N, C, ...), got shape {}", op,
               to_string(logits.shape()));
  require_dense(op, "logits", logits);
  DLCUDA_CHECK(logits.numel() > 0, ShapeError,
               "{}: logits must hold at least one row and one class, got shape {}", op,
               to_string(logits.shape()));
  std::vector<std::int64_t> rows;
  for (int axis = 0; axis < logits.rank(); ++axis) {
    if (axis != 1) rows.push_back(logits.size(axis));
  }
  require_dtype(op, "labels", labels, DType::I64);
  require_shape(op, "labels", labels, Shape(rows));
  require_contiguous(op, "labels", labels);
  require_device(op, "labels", labels, logits.device());
  if (class_weight.defined()) {
    require_dtype(op, "class_weight", class_weight, loss_dtype(logits));
    require_shape(op, "class_weight", class_weight, Shape{logits.size(1)});
    require_contiguous(op, "class_weight", class_weight);
    require_device(op, "class_weight", class_weight, logits.device());
  }
  DLCUDA_CHECK(params.label_smoothing >= 0 && params.label_smoothing <= 1, ArgumentError,
               "{}: label_smoothing must be in [0, 1], got {}", op, params.label_smoothing);
}

CrossEntropyViews views_of(const Tensor& logits, const Tensor& labels, const Tensor& class_weight,
                           const Tensor& log_sum_exp, const Tensor& totals) {
  return {along_axis(logits, 1), labels.raw(), optional_view(class_weight), log_sum_exp.raw(), totals.raw()};
}

void check_label_values(const TensorView& labels, std::int64_t classes,
                        std::optional<std::int64_t> ignore_index) {
  const auto* label = labels.as<const std::int64_t>();
  for (std::int64_t row = 0; row < labels.numel(); ++row) {
    if ((label[row] >= 0 && label[row] < classes) || label[row] == ignore_index) continue;
    throw_label_fault({classes, row, label[row], LabelFault::kCrossEntropy});
  }
}

}  // namespace

void check_labels(const Tensor& labels, std::int64_t classes,
                  const std::optional<std::int64_t>& ignore_index) {
  require_dtype("check_labels", "labels", labels, DType::I64);
  require_device("check_labels", "labels", labels, Device::cpu());
  require_contiguous("check_labels", "labels", labels);
  capture::call(check_label_values, labels.raw(), classes, ignore_index);
}

CrossEntropyOutput cross_entropy_forward(const Tensor& logits, const Tensor& labels,
                                         const Tensor& class_weight, const CrossEntropyParams& params) {
  check("cross_entropy", logits, labels, class_weight, params);
  if (labels.device().is_cpu()) check_labels(labels, logits.size(1), params.ignore_index);
  const DType dtype = loss_dtype(logits);
  const Device device = logits.device();
  const bool separate = params.reduction == LossReduction::None;
  CrossEntropyOutput out{Tensor::empty(separate ? labels.shape() : Shape{}, dtype, device),
                         Tensor::empty(labels.shape(), dtype, device), Tensor::empty({2}, dtype, device)};
  const auto views = views_of(logits, labels, class_weight, out.log_sum_exp, out.totals);
  Tensor terms = separate ? out.loss : Tensor{};
  if (!separate && device.is_cpu()) terms = Tensor::empty(labels.shape(), dtype, device);
  DLCUDA_DISPATCH_LOOPS(device, cross_entropy_forward, views, out.loss.raw(), optional_view(terms), params);
  return out;
}

Tensor cross_entropy_backward(const Tensor& dloss, const Tensor& logits, const Tensor& labels,
                              const Tensor& class_weight, const Tensor& log_sum_exp, const Tensor& totals,
                              const CrossEntropyParams& params) {
  const char* op = "cross_entropy_backward";
  check(op, logits, labels, class_weight, params);
  const DType dtype = loss_dtype(logits);
  const auto require = [&](const char* name, const Tensor& x, const Shape& shape) {
    require_dtype(op, name, x, dtype);
    require_shape(op, name, x, shape);
    require_contiguous(op, name, x);
    require_device(op, name, x, logits.device());
  };
  require("dloss", dloss, params.reduction == LossReduction::None ? labels.shape() : Shape{});
  require("log_sum_exp", log_sum_exp, labels.shape());
  require("totals", totals, Shape{2});
  Tensor dlogits = Tensor::empty_like(logits);
  const auto views = views_of(logits, labels, class_weight, log_sum_exp, totals);
  DLCUDA_DISPATCH_LOOPS(logits.device(), cross_entropy_backward, dloss.raw(), views, dlogits.raw(), params);
  return dlogits;
}

void classification_metrics(const Tensor& logits, const Tensor& labels, const Tensor& loss, Tensor& metrics) {
  const char* op = "classification_metrics";
  require_rank(op, "logits", logits, 2);
  check(op, logits, labels, {}, {});
  require_dtype(op, "loss", loss, loss_dtype(logits));
  require_shape(op, "loss", loss, Shape{});
  require_device(op, "loss", loss, logits.device());
  require_dtype(op, "metrics", metrics, DType::F64);
  require_shape(op, "metrics", metrics, Shape{3});
  require_device(op, "metrics", metrics, logits.device());
  DLCUDA_DISPATCH_LOOPS(logits.device(), classification_metrics, logits.raw(), labels.raw(), loss.raw(),
                        metrics.raw());
  metrics.bump_version();
}

}  // namespace dlcuda::kernels

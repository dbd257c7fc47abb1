#include "dlcuda/kernels/cross_entropy.h"

#include "dlcuda/kernels/checks.h"
#include "dlcuda/kernels/dispatch.h"

namespace dlcuda::kernels {
namespace {

void check(const char* op, const Tensor& logits, const Tensor& labels) {
  require_floating(op, "logits", logits);
  require_rank(op, "logits", logits, 2);
  require_contiguous(op, "logits", logits);
  DLCUDA_CHECK(logits.numel() > 0, ShapeError,
               "{}: logits must hold at least one row and one class, got shape {}", op,
               to_string(logits.shape()));
  require_dtype(op, "labels", labels, DType::I64);
  require_shape(op, "labels", labels, Shape{logits.size(0)});
  require_device(op, "labels", labels, logits.device());
  if (!labels.device().is_cpu()) return;
  const std::int64_t* label = labels.data<std::int64_t>();
  for (std::int64_t row = 0; row < labels.numel(); ++row) {
    DLCUDA_CHECK(label[row] >= 0 && label[row] < logits.size(1), ArgumentError,
                 "{}: the label of row {} is {}, expected 0 to {} ({} classes)", op, row, label[row],
                 logits.size(1) - 1, logits.size(1));
  }
}

DType loss_dtype(const Tensor& logits) { return logits.dtype() == DType::F64 ? DType::F64 : DType::F32; }

}  // namespace

CrossEntropyOutput cross_entropy_forward(const Tensor& logits, const Tensor& labels) {
  check("cross_entropy", logits, labels);
  const DType dtype = loss_dtype(logits);
  const Shape rows{logits.size(0)};
  CrossEntropyOutput out{Tensor::empty(Shape{}, dtype, logits.device()),
                         Tensor::empty(rows, dtype, logits.device())};
  const Tensor row_loss = Tensor::empty(rows, dtype, logits.device());
  DLCUDA_DISPATCH_LOOPS(logits.device(), cross_entropy_forward(logits.raw(), labels.raw(), out.loss.raw(),
                                                               out.log_sum_exp.raw(), row_loss.raw()));
  return out;
}

Tensor cross_entropy_backward(const Tensor& dloss, const Tensor& logits, const Tensor& labels,
                              const Tensor& log_sum_exp) {
  const char* op = "cross_entropy_backward";
  check(op, logits, labels);
  require_dtype(op, "dloss", dloss, loss_dtype(logits));
  require_shape(op, "dloss", dloss, Shape{});
  require_device(op, "dloss", dloss, logits.device());
  require_dtype(op, "log_sum_exp", log_sum_exp, loss_dtype(logits));
  require_shape(op, "log_sum_exp", log_sum_exp, Shape{logits.size(0)});
  require_device(op, "log_sum_exp", log_sum_exp, logits.device());
  Tensor dlogits = Tensor::empty_like(logits);
  DLCUDA_DISPATCH_LOOPS(logits.device(), cross_entropy_backward(dloss.raw(), logits.raw(), labels.raw(),
                                                                log_sum_exp.raw(), dlogits.raw()));
  return dlogits;
}

void classification_metrics(const Tensor& logits, const Tensor& labels, const Tensor& loss, Tensor& metrics) {
  const char* op = "classification_metrics";
  check(op, logits, labels);
  require_dtype(op, "loss", loss, loss_dtype(logits));
  require_shape(op, "loss", loss, Shape{});
  require_device(op, "loss", loss, logits.device());
  require_dtype(op, "metrics", metrics, DType::F64);
  require_shape(op, "metrics", metrics, Shape{3});
  require_device(op, "metrics", metrics, logits.device());
  DLCUDA_DISPATCH_LOOPS(logits.device(),
                        classification_metrics(logits.raw(), labels.raw(), loss.raw(), metrics.raw()));
  metrics.bump_version();
}

}  // namespace dlcuda::kernels

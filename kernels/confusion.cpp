#include "dlcuda/kernels/confusion.h"

#include "dlcuda/kernels/checks.h"
#include "dlcuda/kernels/dispatch.h"

namespace dlcuda::kernels {

void confusion_metrics(const Tensor& predictions, const Tensor& labels, const Tensor& loss, Tensor& counts,
                       Tensor& metrics) {
  const char* op = "confusion_metrics";
  require_dtype(op, "predictions", predictions, DType::I64);
  require_contiguous(op, "predictions", predictions);
  DLCUDA_CHECK(predictions.rank() >= 1, ShapeError, "{}: predictions must be (N, ...), got a scalar", op);
  const Device device = predictions.device();
  require_dtype(op, "labels", labels, DType::I64);
  require_shape(op, "labels", labels, predictions.shape());
  require_contiguous(op, "labels", labels);
  require_device(op, "labels", labels, device);
  require_floating(op, "loss", loss);
  require_dtype(op, "loss", loss, loss.dtype() == DType::F64 ? DType::F64 : DType::F32);
  require_shape(op, "loss", loss, Shape{});
  require_device(op, "loss", loss, device);
  require_dtype(op, "counts", counts, DType::I64);
  require_rank(op, "counts", counts, 2);
  require_shape(op, "counts", counts, Shape{counts.size(0), counts.size(0)});
  require_contiguous(op, "counts", counts);
  require_device(op, "counts", counts, device);
  require_dtype(op, "metrics", metrics, DType::F64);
  require_shape(op, "metrics", metrics, Shape{2});
  require_device(op, "metrics", metrics, device);
  DLCUDA_DISPATCH_LOOPS(device, confusion_metrics, predictions.raw(), labels.raw(), loss.raw(), counts.raw(),
                        metrics.raw());
  counts.bump_version();
  metrics.bump_version();
}

}  // namespace dlcuda::kernels

#include "dlcuda/kernels/yolo.h"

#include "dlcuda/kernels/checks.h"
#include "dlcuda/kernels/dispatch.h"

namespace dlcuda::kernels {

YoloPredictions yolo_decode(const Tensor& raw, const Tensor& anchors, std::int64_t classes) {
  const char* op = "yolo_decode";
  require_floating(op, "raw", raw);
  require_rank(op, "raw", raw, 4);
  require_dense(op, "raw", raw);
  DLCUDA_CHECK(classes >= 1, ArgumentError, "yolo_decode: classes must be at least 1, got {}", classes);
  require_dtype(op, "anchors", anchors, raw.dtype() == DType::F64 ? DType::F64 : DType::F32);
  require_rank(op, "anchors", anchors, 2);
  require_shape(op, "anchors", anchors, Shape{anchors.size(0), 2});
  require_contiguous(op, "anchors", anchors);
  require_device(op, "anchors", anchors, raw.device());
  const std::int64_t each = anchors.size(0), channels = each * (5 + classes);
  DLCUDA_CHECK(raw.size(1) == channels, ShapeError,
               "yolo_decode: raw must have {} channels ({} anchors x (5 + {} classes)), got shape {}",
               channels, each, classes, to_string(raw.shape()));

  const std::int64_t n = raw.size(0), k = raw.size(2) * raw.size(3) * each;
  YoloPredictions out{Tensor::empty(Shape{n, k, 4}, raw.dtype(), raw.device()),
                      Tensor::empty(Shape{n, k}, raw.dtype(), raw.device()),
                      Tensor::empty(Shape{n, k, classes}, raw.dtype(), raw.device())};
  DLCUDA_DISPATCH_LOOPS(raw.device(), yolo_decode, raw.raw(), anchors.raw(), out.boxes.raw(),
                        out.objectness.raw(), out.probabilities.raw());
  return out;
}

}  // namespace dlcuda::kernels

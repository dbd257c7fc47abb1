#include "dlcuda/kernels/nms.h"

#include "dlcuda/kernels/checks.h"
#include "dlcuda/kernels/dispatch.h"

namespace dlcuda::kernels {

NmsOutput nms(const Tensor& boxes, const Tensor& scores, const Tensor& classes, const NmsParams& params) {
  const char* op = "nms";
  require_floating(op, "boxes", boxes);
  require_rank(op, "boxes", boxes, 3);
  DLCUDA_CHECK(boxes.size(2) == 4, ShapeError, "nms: boxes must have shape (N, K, 4), got {}",
               to_string(boxes.shape()));
  require_contiguous(op, "boxes", boxes);
  const Shape each{boxes.size(0), boxes.size(1)};
  require_dtype(op, "scores", scores, boxes.dtype());
  require_shape(op, "scores", scores, each);
  require_device(op, "scores", scores, boxes.device());
  if (classes.defined()) {
    require_dtype(op, "classes", classes, DType::I64);
    require_shape(op, "classes", classes, each);
    require_device(op, "classes", classes, boxes.device());
  }
  DLCUDA_CHECK(params.overlap >= 0 && params.overlap <= 1, ArgumentError,
               "nms: overlap must be between 0 and 1, got {}", params.overlap);
  DLCUDA_CHECK(params.most >= 1, ArgumentError, "nms: most must be at least 1, got {}", params.most);

  NmsOutput out{Tensor::empty(Shape{boxes.size(0), params.most}, DType::I64, boxes.device()),
                Tensor::empty(Shape{boxes.size(0)}, DType::I32, boxes.device())};
  DLCUDA_DISPATCH(boxes.device(), nms, boxes.raw(), scores.raw(), optional_view(classes), out.indices.raw(),
                  out.count.raw(), params);
  return out;
}

}  // namespace dlcuda::kernels

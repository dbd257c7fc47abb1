#include "dlcuda/kernels/boxes.h"

#include "dlcuda/kernels/checks.h"
#include "dlcuda/kernels/dispatch.h"

namespace dlcuda::kernels {
namespace {

void require_boxes(const char* op, const char* name, const Tensor& x) {
  require_floating(op, name, x);
  DLCUDA_CHECK(x.rank() >= 1 && x.shape()[-1] == 4, ShapeError,
               "{}: the last axis of {} must have the 4 numbers of a box, got shape {}", op, name,
               to_string(x.shape()));
  require_contiguous(op, name, x);
}

/// a and b are (N, 4) and (M, 4) of one dtype on one device; with `pairs`, N == M.
void require_two(const char* op, const char* a_name, const Tensor& a, const char* b_name, const Tensor& b,
                 bool pairs) {
  for (const auto& [name, x] : {std::pair{a_name, &a}, {b_name, &b}}) {
    require_boxes(op, name, *x);
    require_rank(op, name, *x, 2);
  }
  if (pairs) require_shape(op, b_name, b, a.shape());
  require_dtype(op, b_name, b, a.dtype());
  require_device(op, b_name, b, a.device());
}

Tensor mapped(const char* op, const Tensor& a, const Tensor& b, const Tensor& c, BoxMap map,
              const BoxCoding& coding = {}) {
  for (const double weight : coding.weights) {
    DLCUDA_CHECK(weight > 0, ArgumentError, "{}: the weights of the coding must be positive, got {}", op,
                 weight);
  }
  Tensor out = Tensor::empty_like(a);
  DLCUDA_DISPATCH_LOOPS(a.device(), box_map, a.raw(), optional_view(b), optional_view(c), out.raw(), map,
                        coding);
  return out;
}

}  // namespace

Tensor box_overlap(const Tensor& a, const Tensor& b, BoxOverlap kind) {
  require_two("box_overlap", "a", a, "b", b, true);
  Tensor y = Tensor::empty(Shape{a.size(0)}, a.dtype(), a.device());
  DLCUDA_DISPATCH_LOOPS(a.device(), box_overlap, a.raw(), b.raw(), y.raw(), kind);
  return y;
}

BoxOverlapGradients box_overlap_backward(const Tensor& dy, const Tensor& a, const Tensor& b,
                                         BoxOverlap kind) {
  const char* op = "box_overlap_backward";
  require_two(op, "a", a, "b", b, true);
  require_shape(op, "dy", dy, Shape{a.size(0)});
  require_dtype(op, "dy", dy, a.dtype());
  require_device(op, "dy", dy, a.device());
  BoxOverlapGradients gradients{Tensor::empty_like(a), Tensor::empty_like(b)};
  DLCUDA_DISPATCH_LOOPS(a.device(), box_overlap_backward, dy.raw(), a.raw(), b.raw(), gradients.a.raw(),
                        gradients.b.raw(), kind);
  return gradients;
}

Tensor box_overlap_matrix(const Tensor& a, const Tensor& b, BoxOverlap kind) {
  require_two("box_overlap_matrix", "a", a, "b", b, false);
  Tensor y = Tensor::empty(Shape{a.size(0), b.size(0)}, a.dtype(), a.device());
  DLCUDA_DISPATCH_LOOPS(a.device(), box_overlap_matrix, a.raw(), b.raw(), y.raw(), kind);
  return y;
}

Tensor boxes_to_corners(const Tensor& x) {
  require_boxes("boxes_to_corners", "x", x);
  return mapped("boxes_to_corners", x, {}, {}, BoxMap::ToCorners);
}
Tensor boxes_to_corners_backward(const Tensor& dy) {
  require_boxes("boxes_to_corners_backward", "dy", dy);
  return mapped("boxes_to_corners_backward", dy, {}, {}, BoxMap::ToCornersBackward);
}
Tensor boxes_to_centers(const Tensor& x) {
  require_boxes("boxes_to_centers", "x", x);
  return mapped("boxes_to_centers", x, {}, {}, BoxMap::ToCenters);
}
Tensor boxes_to_centers_backward(const Tensor& dy) {
  require_boxes("boxes_to_centers_backward", "dy", dy);
  return mapped("boxes_to_centers_backward", dy, {}, {}, BoxMap::ToCentersBackward);
}

Tensor box_encode(const Tensor& boxes, const Tensor& anchors, const BoxCoding& coding) {
  require_two("box_encode", "boxes", boxes, "anchors", anchors, true);
  return mapped("box_encode", boxes, anchors, {}, BoxMap::Encode, coding);
}

Tensor box_decode(const Tensor& offsets, const Tensor& anchors, const BoxCoding& coding) {
  require_two("box_decode", "offsets", offsets, "anchors", anchors, true);
  return mapped("box_decode", offsets, anchors, {}, BoxMap::Decode, coding);
}

Tensor box_decode_backward(const Tensor& dy, const Tensor& offsets, const Tensor& anchors,
                           const BoxCoding& coding) {
  require_two("box_decode_backward", "dy", dy, "offsets", offsets, true);
  require_two("box_decode_backward", "dy", dy, "anchors", anchors, true);
  return mapped("box_decode_backward", dy, offsets, anchors, BoxMap::DecodeBackward, coding);
}

}  // namespace dlcuda::kernels

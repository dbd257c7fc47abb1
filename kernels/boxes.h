// Boxes of object detection: overlap, and coding against anchors. A row of four is a box: corners (x1, y1,
// x2, y2) with x1 <= x2 and y1 <= y2, or centres (cx, cy, width, height); any unit of length. Contiguous,
// floating-point.
#pragma once

#include <array>
#include <cstdint>

#include "dlcuda/kernels/backend.h"

namespace dlcuda {
namespace kernels DLCUDA_API {

/// Iou: intersection over union. Giou (Rezatofighi et al., 2019): IoU - (hull - union) / hull with the
/// smallest box around both, from -1 to 1, so that boxes that do not touch have a gradient as well.
enum class BoxOverlap : std::uint8_t { Iou, Giou };

/// Of each box of a (N, 4) with the same row of b (N, 4): (N). Boxes without area overlap by 0.
Tensor box_overlap(const Tensor& a, const Tensor& b, BoxOverlap kind);
struct BoxOverlapGradients {
  Tensor a, b;
};
/// Where corners of a and b coincide, each takes half of the gradient, as PyTorch's min and max share it;
/// boxes that only touch have none from their intersection.
BoxOverlapGradients box_overlap_backward(const Tensor& dy, const Tensor& a, const Tensor& b, BoxOverlap kind);

/// Of each box of a (N, 4) with each of b (M, 4): (N, M).
Tensor box_overlap_matrix(const Tensor& a, const Tensor& b, BoxOverlap kind);

/// Offsets against anchors as in Faster R-CNN (Ren et al., 2015): ((cx - acx) / aw, (cy - acy) / ah, log(w /
/// aw), log(h / ah)), each times its weight.
struct BoxCoding {
  std::array<double, 4> weights{1, 1, 1, 1};
  double largest_log =
      4.135166556742356;  ///< decoding: log(w / aw) above this counts as this (log(1000 / 16))
};

enum class BoxMap : std::uint8_t {
  ToCorners,
  ToCornersBackward,
  ToCenters,
  ToCentersBackward,
  Encode,
  Decode,
  DecodeBackward
};

/// Centres -> corners, and corners -> centres; x (..., 4).
Tensor boxes_to_corners(const Tensor& x);
Tensor boxes_to_corners_backward(const Tensor& dy);
Tensor boxes_to_centers(const Tensor& x);
Tensor boxes_to_centers_backward(const Tensor& dy);

/// boxes, anchors: corners (N, 4) -> offsets (N, 4). The anchors and boxes must have an area.
Tensor box_encode(const Tensor& boxes, const Tensor& anchors, const BoxCoding& coding = {});
/// offsets (N, 4), anchors: corners (N, 4) -> corners (N, 4).
Tensor box_decode(const Tensor& offsets, const Tensor& anchors, const BoxCoding& coding = {});
/// Gradient with respect to the offsets; 0 for a size that was cut to the largest.
Tensor box_decode_backward(const Tensor& dy, const Tensor& offsets, const Tensor& anchors,
                           const BoxCoding& coding = {});

// out = map(a, b, c), row by row; a map leaves out what it does not take (null pointers).
DLCUDA_LOOP_BACKENDS(void box_overlap(const TensorView& a, const TensorView& b, const TensorView& y,
                                      BoxOverlap kind);
                     void box_overlap_backward(const TensorView& dy, const TensorView& a, const TensorView& b,
                                               const TensorView& da, const TensorView& db, BoxOverlap kind);
                     void box_overlap_matrix(const TensorView& a, const TensorView& b, const TensorView& y,
                                             BoxOverlap kind);
                     void box_map(const TensorView& a, const TensorView& b, const TensorView& c,
                                  const TensorView& out, BoxMap map, const BoxCoding& coding);)

}  // namespace kernels
}  // namespace dlcuda

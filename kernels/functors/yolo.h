// One prediction of YOLOv2: its numbers lie `step` elements apart. C: the type of arithmetic.
#pragma once

#include "dlcuda/core/tensor_view.h"
#include "dlcuda/kernels/functors/boxes.h"

namespace dlcuda::functors {

template <typename C>
struct YoloCell {
  std::int64_t row, column, height, width;  ///< of the grid
  C anchor_width, anchor_height;            ///< in cells

  template <typename T>
  DLCUDA_HD Box<C> box(const T* raw, std::int64_t step) const {
    const C x = (static_cast<C>(column) + functors::sigmoid(static_cast<C>(raw[0]))) / static_cast<C>(width);
    const C y = (static_cast<C>(row) + functors::sigmoid(static_cast<C>(raw[step]))) / static_cast<C>(height);
    const C w = anchor_width * functors::exp(static_cast<C>(raw[2 * step])) / static_cast<C>(width);
    const C h = anchor_height * functors::exp(static_cast<C>(raw[3 * step])) / static_cast<C>(height);
    const Box<C> centers{{x, y, w, h}};
    return ToCorners<C>{}(centers, centers, centers);
  }
};

/// The prediction layer (N, A (5 + classes), H, W): prediction i of N H W A is ((n H + row) W + column) A +
/// anchor.
template <typename C>
struct YoloGrid {
  TensorView raw;
  const C* anchors;  ///< (A, 2)
  std::int64_t each, classes;

  struct Place {
    std::int64_t picture, row, column, anchor;
  };
  DLCUDA_HD std::int64_t per_picture() const { return raw.shape[2] * raw.shape[3] * each; }
  DLCUDA_HD std::int64_t count() const { return raw.shape[0] * per_picture(); }
  DLCUDA_HD std::int64_t step() const { return raw.strides[1]; }
  DLCUDA_HD Place place(std::int64_t i) const {
    return {i / per_picture(), i / each / raw.shape[3] % raw.shape[2], i / each % raw.shape[3], i % each};
  }
  /// Of the first number of a prediction, in a tensor that lies as `view` does.
  DLCUDA_HD std::int64_t offset(const TensorView& view, const Place& at) const {
    return at.picture * view.strides[0] + at.anchor * (5 + classes) * view.strides[1] +
           at.row * view.strides[2] + at.column * view.strides[3];
  }
  DLCUDA_HD YoloCell<C> cell(const Place& at) const {
    const C* size = anchors + 2 * at.anchor;
    return {at.row, at.column, raw.shape[2], raw.shape[3], size[0], size[1]};
  }
};

/// log sum exp of `classes` logits that lie `step` apart, in two parts: the largest, and the sum of
/// exp(logit - largest).
template <typename C>
struct StridedSoftmax {
  C largest, sum;

  template <typename T>
  DLCUDA_HD StridedSoftmax(const T* logits, std::int64_t step, std::int64_t classes)
      : largest(static_cast<C>(logits[0])), sum(0) {
    for (std::int64_t c = 1; c < classes; ++c) {
      const C value = static_cast<C>(logits[c * step]);
      if (value > largest) largest = value;
    }
    for (std::int64_t c = 0; c < classes; ++c) {
      sum += functors::exp(static_cast<C>(logits[c * step]) - largest);
    }
  }
  DLCUDA_HD C probability(C logit) const { return functors::exp(logit - largest) / sum; }
  DLCUDA_HD C surprise(C logit) const { return largest + functors::log(sum) - logit; }
};

}  // namespace dlcuda::functors

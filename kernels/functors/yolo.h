// One prediction of YOLOv2: its numbers lie `step` elements apart. C: the type of arithmetic.
#pragma once

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

/// Softmax of `classes` logits that lie `step` apart.
template <typename C, typename T>
DLCUDA_HD void strided_softmax(const T* logits, std::int64_t step, std::int64_t classes, T* probabilities) {
  C largest = static_cast<C>(logits[0]);
  for (std::int64_t c = 1; c < classes; ++c) {
    const C value = static_cast<C>(logits[c * step]);
    if (value > largest) largest = value;
  }
  C sum = 0;
  for (std::int64_t c = 0; c < classes; ++c) sum += functors::exp(static_cast<C>(logits[c * step]) - largest);
  for (std::int64_t c = 0; c < classes; ++c) {
    probabilities[c] = static_cast<T>(functors::exp(static_cast<C>(logits[c * step]) - largest) / sum);
  }
}

}  // namespace dlcuda::functors

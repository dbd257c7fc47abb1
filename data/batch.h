// A batch: images and their targets as tensors.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "dlcuda/core/macros.h"
#include "dlcuda/core/tensor.h"
#include "dlcuda/data/dataset.h"

namespace dlcuda DLCUDA_API {

struct Batch {
  Tensor images;  ///< (N, C, H, W), floating-point
  /// i64, each within [0, classes): (N) of the images; (N, M) of their boxes, the first ones, then kNoLabel
  /// where there is none; (N, H, W) of the pixels, kNoLabel where they count for nothing. M: the dataset's
  /// most_boxes.
  Tensor labels;
  /// f32 (N, M, 4), corners in parts of the picture's width and height (kernels/boxes.h), 0 where there is
  /// none; defined for TargetKind::Boxes alone.
  Tensor boxes = {};

  std::int64_t size() const { return images.size(0); }
  /// The same with each tensor that is defined replaced by function(tensor).
  template <typename Function>
  Batch map(const Function& function) const {
    return {function(images), function(labels), boxes.defined() ? function(boxes) : Tensor()};
  }
};

/// The tensors of a batch, and back: what a recorded step (core/captured_step.h) is given.
std::vector<Tensor> to_tensors(const Batch& batch);
Batch to_batch(const std::vector<Tensor>& tensors);

/// A batch of `size` f32 images of shape `image` with targets of `format`; its tensors come from
/// allocate(shape, dtype).
Batch make_batch(std::int64_t size, const ImageShape& image, const TargetFormat& format,
                 const std::function<Tensor(const Shape& shape, DType dtype)>& allocate);
/// The same with its images undefined; `extent` is what masks measure.
Batch make_targets(std::int64_t size, const ImageShape& extent, const TargetFormat& format,
                   const std::function<Tensor(const Shape& shape, DType dtype)>& allocate);

/// Writes row `row` of a contiguous batch's labels and boxes on the CPU. Throws FormatError, naming image
/// `index`, for a class outside [0, classes), too many boxes, a box that is not inside the picture, and a
/// mask of another size than the images.
void write_target(const Batch& batch, std::int64_t row, const Target& target, const TargetFormat& format,
                  std::int64_t classes, std::int64_t index);

}  // namespace dlcuda

// What a segmentation model made of some pictures, as a picture.
#pragma once

#include "dlcuda/core/macros.h"
#include "dlcuda/data/batch.h"
#include "dlcuda/data/image_file.h"
#include "dlcuda/data/transforms.h"

namespace dlcuda DLCUDA_API {

/// For each picture of the batch three tiles side by side: itself, the classes of its pixels, and those that
/// the logits say, in two columns of such triples. Classes have the colours of class_color() on a dark grey
/// picture; what counts for nothing is shown as background. batch: TargetKind::Mask, 1 or 3 channels,
/// normalised as given; logits (N, classes, H', W'), f32, for the middle of each picture where they are
/// smaller; all on the CPU, contiguous. Small pictures are enlarged by a whole factor. Throws ShapeError for
/// tensors that do not fit together.
Image draw_segmentation(const Batch& batch, const Tensor& logits, const Normalization& normalization);

}  // namespace dlcuda

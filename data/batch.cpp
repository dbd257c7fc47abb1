#include "dlcuda/data/batch.h"

#include <algorithm>
#include <span>

#include "dlcuda/core/check.h"

namespace dlcuda {
namespace {

void check_label(std::int64_t label, std::int64_t classes, std::int64_t index) {
  DLCUDA_CHECK(label >= 0 && label < classes, FormatError,
               "data loader: image {} has label {}, expected 0 to {}", index, label, classes - 1);
}

void check_box(const LabelledBox& box, std::int64_t index) {
  // NaN fails every comparison.
  DLCUDA_CHECK(
      0 <= box.x1 && box.x1 <= box.x2 && box.x2 <= 1 && 0 <= box.y1 && box.y1 <= box.y2 && box.y2 <= 1,
      FormatError,
      "data loader: image {} has a box from ({}, {}) to ({}, {}); corners are parts of the picture's width "
      "and height, the smaller ones first: 0 to 1",
      index, box.x1, box.y1, box.x2, box.y2);
}

void write_boxes(const Batch& batch, std::int64_t row, const std::vector<LabelledBox>& boxes,
                 std::int64_t most, std::int64_t classes, std::int64_t index) {
  DLCUDA_CHECK(static_cast<std::int64_t>(boxes.size()) <= most, FormatError,
               "data loader: image {} has {} boxes, but the dataset promised at most {}", index, boxes.size(),
               most);
  std::int64_t* labels = batch.labels.data<std::int64_t>() + row * most;
  float* corners = batch.boxes.data<float>() + row * most * 4;
  for (const LabelledBox& box : boxes) {
    check_label(box.label, classes, index);
    check_box(box, index);
    *labels++ = box.label;
    for (const float corner : {box.x1, box.y1, box.x2, box.y2}) *corners++ = corner;
  }
  const auto empty = static_cast<std::size_t>(most) - boxes.size();
  std::fill_n(labels, empty, kNoLabel);
  std::fill_n(corners, 4 * empty, 0.0f);
}

void write_mask(const Batch& batch, std::int64_t row, const std::vector<std::uint8_t>& mask,
                std::int64_t classes, std::int64_t index) {
  const auto pixels = static_cast<std::size_t>(batch.labels.size(1) * batch.labels.size(2));
  DLCUDA_CHECK(mask.size() == pixels, FormatError,
               "data loader: image {} has a mask of {} pixels, expected {}x{} like the image", index,
               mask.size(), batch.labels.size(1), batch.labels.size(2));
  std::int64_t* labels = batch.labels.data<std::int64_t>() + static_cast<std::size_t>(row) * pixels;
  for (std::size_t i = 0; i < pixels; ++i) {
    if (mask[i] == kIgnoredPixel) {
      labels[i] = kNoLabel;
    } else {
      check_label(mask[i], classes, index);
      labels[i] = mask[i];
    }
  }
}

}  // namespace

std::vector<Tensor> to_tensors(const Batch& batch) {
  std::vector<Tensor> tensors{batch.images, batch.labels};
  if (batch.boxes.defined()) tensors.push_back(batch.boxes);
  return tensors;
}

Batch to_batch(const std::vector<Tensor>& tensors) {
  return {tensors[0], tensors[1], tensors.size() > 2 ? tensors[2] : Tensor()};
}

Batch make_batch(std::int64_t size, const ImageShape& image, const TargetFormat& format,
                 const std::function<Tensor(const Shape& shape, DType dtype)>& allocate) {
  const Tensor images = allocate({size, image.channels, image.height, image.width}, DType::F32);
  Batch batch = make_targets(size, image, format, allocate);
  batch.images = images;
  return batch;
}

Batch make_targets(std::int64_t size, const ImageShape& extent, const TargetFormat& format,
                   const std::function<Tensor(const Shape& shape, DType dtype)>& allocate) {
  Batch batch;
  switch (format.kind) {
    case TargetKind::Class:
      batch.labels = allocate({size}, DType::I64);
      break;
    case TargetKind::Boxes:
      DLCUDA_CHECK(format.most_boxes >= 1, ArgumentError,
                   "batch: a dataset of boxes must say how many an image has at most, got {}",
                   format.most_boxes);
      batch.labels = allocate({size, format.most_boxes}, DType::I64);
      batch.boxes = allocate({size, format.most_boxes, 4}, DType::F32);
      break;
    case TargetKind::Mask:
      batch.labels = allocate({size, extent.height, extent.width}, DType::I64);
      break;
  }
  return batch;
}

void write_target(const Batch& batch, std::int64_t row, const Target& target, const TargetFormat& format,
                  std::int64_t classes, std::int64_t index) {
  switch (format.kind) {
    case TargetKind::Class:
      check_label(target.label, classes, index);
      batch.labels.data<std::int64_t>()[row] = target.label;
      break;
    case TargetKind::Boxes:
      write_boxes(batch, row, target.boxes, format.most_boxes, classes, index);
      break;
    case TargetKind::Mask:
      write_mask(batch, row, target.mask, classes, index);
      break;
  }
}

}  // namespace dlcuda

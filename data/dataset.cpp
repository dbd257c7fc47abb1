#include "dlcuda/data/dataset.h"

#include <algorithm>
#include <utility>

#include "dlcuda/core/check.h"

namespace dlcuda {

std::string to_string(const ImageShape& shape) {
  return fmt::format("{}x{}x{}", shape.channels, shape.height, shape.width);
}

std::string to_string(TargetKind kind) {
  switch (kind) {
    case TargetKind::Boxes:
      return "boxes";
    case TargetKind::Mask:
      return "masks";
    default:
      return "classes";
  }
}

void ImageDataset::read(std::int64_t index, std::span<std::uint8_t> pixels, Target& target) const {
  DLCUDA_CHECK(index >= 0 && index < size(), ArgumentError,
               "dataset: image {} was asked for, but there are {} (0 to {})", index, size(), size() - 1);
  DLCUDA_CHECK(pixels.size() == image_shape().pixels(), ArgumentError,
               "dataset: an image of {} has {} bytes, but the buffer has {}", to_string(image_shape()),
               image_shape().pixels(), pixels.size());
  target.clear();
  read_image(index, pixels, target);
}

std::int64_t ImageDataset::read(std::int64_t index, std::span<std::uint8_t> pixels) const {
  const TargetKind kind = target_format().kind;
  DLCUDA_CHECK(kind == TargetKind::Class, ArgumentError,
               "dataset: its images have {}; read them with a Target, not as one class each",
               to_string(kind));
  Target target;
  read(index, pixels, target);
  return target.label;
}

MemoryDataset::MemoryDataset(ImageShape shape, std::vector<std::string> class_names,
                             std::vector<std::uint8_t> pixels, std::vector<std::uint8_t> labels)
    : shape_(shape),
      class_names_(std::move(class_names)),
      pixels_(std::move(pixels)),
      labels_(std::move(labels)) {
  DLCUDA_CHECK(shape.channels > 0 && shape.height > 0 && shape.width > 0, ArgumentError,
               "dataset: images of {} have no pixels", to_string(shape));
  DLCUDA_CHECK(pixels_.size() % shape.pixels() == 0 && pixels_.size() / shape.pixels() == labels_.size(),
               ArgumentError,
               "dataset: {} labels and {} bytes of pixels do not fit images of {} ({} bytes each)",
               labels_.size(), pixels_.size(), to_string(shape), shape.pixels());
  for (std::size_t i = 0; i < labels_.size(); ++i) {
    DLCUDA_CHECK(labels_[i] < class_names_.size(), FormatError,
                 "dataset: image {} has label {}, but there are {} classes", i, labels_[i],
                 class_names_.size());
  }
}

void MemoryDataset::read_image(std::int64_t index, std::span<std::uint8_t> pixels, Target& target) const {
  std::copy_n(pixels_.data() + std::size_t(index) * pixels.size(), pixels.size(), pixels.data());
  target.label = labels_[std::size_t(index)];
}

SubsetDataset::SubsetDataset(std::shared_ptr<const ImageDataset> dataset, std::int64_t first,
                             std::int64_t count)
    : dataset_(std::move(dataset)), first_(first), count_(count) {
  DLCUDA_CHECK(dataset_ != nullptr, ArgumentError, "subset: no dataset given");
  DLCUDA_CHECK(first >= 0 && count >= 0 && first <= dataset_->size() && count <= dataset_->size() - first,
               ArgumentError, "subset: {} images from image {} are not inside a dataset of {}", count, first,
               dataset_->size());
}

void SubsetDataset::read_image(std::int64_t index, std::span<std::uint8_t> pixels, Target& target) const {
  dataset_->read(first_ + index, pixels, target);
}

std::vector<std::int64_t> count_per_class(const ImageDataset& dataset) {
  std::vector<std::int64_t> counts(std::size_t(dataset.class_count()));
  std::vector<std::uint8_t> pixels(dataset.image_shape().pixels());
  for (std::int64_t i = 0; i < dataset.size(); ++i) ++counts.at(std::size_t(dataset.read(i, pixels)));
  return counts;
}

}  // namespace dlcuda

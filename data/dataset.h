// Images with targets: the interface that loaders read from, and two datasets that others are made of.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "dlcuda/core/macros.h"
#include "dlcuda/data/target.h"

namespace dlcuda DLCUDA_API {

/// Extents of one image, in pixels. Pixels lie channel by channel, row by row.
struct ImageShape {
  std::int64_t channels = 1;
  std::int64_t height = 0;
  std::int64_t width = 0;
  std::size_t pixels() const { return std::size_t(channels) * std::size_t(height) * std::size_t(width); }
  bool operator==(const ImageShape&) const = default;
};

/// "1x28x28": channels, height, width.
std::string to_string(const ImageShape& shape);

/// A finite, indexed set of equally sized 8-bit images, each with a target of the same kind.
/// All functions are const and may be called from several threads; what read() gives depends on the index
/// alone.
class ImageDataset {
 public:
  ImageDataset() = default;
  ImageDataset(const ImageDataset&) = delete;
  ImageDataset& operator=(const ImageDataset&) = delete;
  virtual ~ImageDataset() = default;

  virtual std::int64_t size() const = 0;
  virtual ImageShape image_shape() const = 0;
  /// One name for each class; label i means class_names()[i]. Of masks, class 0 is the background.
  virtual const std::vector<std::string>& class_names() const = 0;
  virtual TargetFormat target_format() const { return {}; }

  /// Writes image `index` to `pixels` (image_shape().pixels() bytes), and what is known about it to `target`.
  /// Throws ArgumentError for an index outside [0, size()) or a span of another size; datasets on disk also
  /// throw IoError and FormatError.
  void read(std::int64_t index, std::span<std::uint8_t> pixels, Target& target) const;
  /// The same for a dataset of classes; returns the label. Throws ArgumentError for another kind.
  std::int64_t read(std::int64_t index, std::span<std::uint8_t> pixels) const;

  std::int64_t class_count() const { return std::int64_t(class_names().size()); }

 private:
  /// What read() does when the arguments are checked. `target` is empty.
  virtual void read_image(std::int64_t index, std::span<std::uint8_t> pixels, Target& target) const = 0;
};

/// Images held in memory, each of one class.
class MemoryDataset : public ImageDataset {
 public:
  /// `pixels` holds labels.size() images. Throws ArgumentError when the sizes differ, FormatError for a label
  /// that names no class.
  MemoryDataset(ImageShape shape, std::vector<std::string> class_names, std::vector<std::uint8_t> pixels,
                std::vector<std::uint8_t> labels);

  std::int64_t size() const override { return std::int64_t(labels_.size()); }
  ImageShape image_shape() const override { return shape_; }
  const std::vector<std::string>& class_names() const override { return class_names_; }

 private:
  void read_image(std::int64_t index, std::span<std::uint8_t> pixels, Target& target) const override;

  ImageShape shape_;
  std::vector<std::string> class_names_;
  std::vector<std::uint8_t> pixels_;
  std::vector<std::uint8_t> labels_;
};

/// `count` consecutive images of another dataset, which it keeps alive.
class SubsetDataset : public ImageDataset {
 public:
  /// Throws ArgumentError when the range is not inside the dataset.
  SubsetDataset(std::shared_ptr<const ImageDataset> dataset, std::int64_t first, std::int64_t count);

  std::int64_t size() const override { return count_; }
  ImageShape image_shape() const override { return dataset_->image_shape(); }
  const std::vector<std::string>& class_names() const override { return dataset_->class_names(); }
  TargetFormat target_format() const override { return dataset_->target_format(); }

 private:
  void read_image(std::int64_t index, std::span<std::uint8_t> pixels, Target& target) const override;

  std::shared_ptr<const ImageDataset> dataset_;
  std::int64_t first_;
  std::int64_t count_;
};

/// Images of each class, counted by reading the whole dataset, which is one of classes.
std::vector<std::int64_t> count_per_class(const ImageDataset& dataset);

}  // namespace DLCUDA_API

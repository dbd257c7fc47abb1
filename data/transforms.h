// From the 8-bit pixels of a dataset to the floats of a batch: geometric transforms one after the other, then
// normalisation.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "dlcuda/core/macros.h"
#include "dlcuda/data/dataset.h"
#include "dlcuda/data/random_stream.h"

namespace dlcuda DLCUDA_API {

/// An image between two transforms, with its mask where there is one.
struct ImageView {
  ImageShape shape;
  std::span<const std::uint8_t> pixels;  ///< shape.pixels() bytes
  std::span<const std::uint8_t> mask;    ///< (height, width) classes, or empty
};
struct MutableImageView {
  ImageShape shape;
  std::span<std::uint8_t> pixels, mask;
};

/// A step from one 8-bit image to another, which takes boxes and masks along. const and thread-safe; whatever
/// is random comes from the stream that is passed in, which belongs to (seed, epoch, sample index).
class Transform {
 public:
  virtual ~Transform() = default;
  /// The shape that an image of shape `input` becomes. Throws ShapeError for one that the transform cannot
  /// take.
  virtual ImageShape output_shape(const ImageShape& input) const = 0;
  /// to.shape is output_shape(from.shape); to.mask is empty where from.mask is. The boxes change in place.
  virtual void apply(const ImageView& from, const MutableImageView& to, std::vector<LabelledBox>& boxes,
                     RandomStream& random) const = 0;
};

/// Centres the image on a larger canvas. An odd remainder goes to the bottom and the right. Pixels that are
/// added are kIgnoredPixel in a mask.
class Pad : public Transform {
 public:
  Pad(std::int64_t height, std::int64_t width, std::uint8_t fill = 0)
      : height_(height), width_(width), fill_(fill) {}
  ImageShape output_shape(const ImageShape& input) const override;
  void apply(const ImageView& from, const MutableImageView& to, std::vector<LabelledBox>& boxes,
             RandomStream& random) const override;

 private:
  std::int64_t height_, width_;
  std::uint8_t fill_;
};

/// Moves the image by up to `pixels` in each direction, every offset equally likely. What leaves is lost, and
/// so is a box of which less than a tenth stays. Pixels that come in are kIgnoredPixel in a mask.
class RandomShift : public Transform {
 public:
  /// Throws ArgumentError unless pixels >= 0.
  explicit RandomShift(std::int64_t pixels, std::uint8_t fill = 0);
  ImageShape output_shape(const ImageShape& input) const override { return input; }
  void apply(const ImageView& from, const MutableImageView& to, std::vector<LabelledBox>& boxes,
             RandomStream& random) const override;

 private:
  std::int64_t pixels_;
  std::uint8_t fill_;
};

/// Mirrors left and right with a probability.
class RandomHorizontalFlip : public Transform {
 public:
  /// Throws ArgumentError unless 0 <= probability <= 1.
  explicit RandomHorizontalFlip(float probability = 0.5f);
  ImageShape output_shape(const ImageShape& input) const override { return input; }
  void apply(const ImageView& from, const MutableImageView& to, std::vector<LabelledBox>& boxes,
             RandomStream& random) const override;

 private:
  float probability_;
};

/// (pixel / 255 - mean) / std, channel by channel; a single entry serves all channels.
struct Normalization {
  std::vector<float> mean = {0.0f};
  std::vector<float> std = {1.0f};
  bool operator==(const Normalization&) const = default;
};

/// Transforms in order, then normalisation. const and thread-safe.
class ImagePipeline {
 public:
  /// Throws ShapeError when a transform cannot take what the one before it gives, ArgumentError for a missing
  /// transform and for means or deviations that do not fit the channels or are not positive.
  ImagePipeline(const ImageShape& input, std::vector<std::shared_ptr<const Transform>> transforms,
                const Normalization& normalization);

  const ImageShape& input_shape() const { return input_; }
  const ImageShape& output_shape() const { return output_; }

  /// Memory for the images between two transforms; one for each thread, so that nothing is allocated per
  /// image.
  using Scratch = std::vector<std::uint8_t>;

  /// `from`: input_shape().pixels() bytes; `to`: output_shape().pixels() floats. The target's boxes and mask
  /// go with the image; a mask is empty, or as large as the image. Throws ArgumentError for other sizes.
  void operator()(std::span<const std::uint8_t> from, std::span<float> to, Target& target,
                  RandomStream& random, Scratch& scratch) const;

 private:
  ImageShape input_, output_;
  std::vector<std::shared_ptr<const Transform>> transforms_;
  std::size_t largest_ = 0;    // bytes of the largest image between two transforms, with a mask
  std::vector<float> levels_;  // the float of each grey level: (channel, 256)
};

}  // namespace dlcuda

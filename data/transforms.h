// From the 8-bit pixels of a dataset to the floats of a batch: geometric transforms one after the other, then
// normalisation. Transforms that only say where pixels come from are merged into one placement, which the
// device that trains carries out (kernels/augment.h); others are carried out here, byte by byte.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "dlcuda/core/macros.h"
#include "dlcuda/data/dataset.h"
#include "dlcuda/data/random_stream.h"
#include "dlcuda/kernels/augment.h"

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

/// A transform that moves pixels without computing new ones. A box of which less than a tenth stays is lost;
/// pixels that are added are kIgnoredPixel in a mask.
class PlacementTransform : public Transform {
 public:
  void apply(const ImageView& from, const MutableImageView& to, std::vector<LabelledBox>& boxes,
             RandomStream& random) const final;
  /// Where the pixels of output_shape(from) come from; its `fill` is left out.
  virtual kernels::Placement draw(const ImageShape& from, RandomStream& random) const = 0;
  /// The grey level of pixels that are added; none where there are no such.
  virtual std::optional<std::uint8_t> fill() const = 0;
};

/// Centres the image on a larger canvas. An odd remainder goes to the bottom and the right.
class Pad : public PlacementTransform {
 public:
  Pad(std::int64_t height, std::int64_t width, std::uint8_t fill = 0)
      : height_(height), width_(width), fill_(fill) {}
  ImageShape output_shape(const ImageShape& input) const override;
  kernels::Placement draw(const ImageShape& from, RandomStream& random) const override;
  std::optional<std::uint8_t> fill() const override { return fill_; }

 private:
  std::int64_t height_, width_;
  std::uint8_t fill_;
};

/// Moves the image by up to `pixels` in each direction, every offset equally likely. What leaves is lost.
class RandomShift : public PlacementTransform {
 public:
  /// Throws ArgumentError unless pixels is 0 to 2^24.
  explicit RandomShift(std::int64_t pixels, std::uint8_t fill = 0);
  ImageShape output_shape(const ImageShape& input) const override { return input; }
  kernels::Placement draw(const ImageShape& from, RandomStream& random) const override;
  std::optional<std::uint8_t> fill() const override { return fill_; }

 private:
  std::int64_t pixels_;
  std::uint8_t fill_;
};

/// Mirrors left and right with a probability.
class RandomHorizontalFlip : public PlacementTransform {
 public:
  /// Throws ArgumentError unless 0 <= probability <= 1.
  explicit RandomHorizontalFlip(float probability = 0.5f);
  ImageShape output_shape(const ImageShape& input) const override { return input; }
  kernels::Placement draw(const ImageShape& from, RandomStream& random) const override;
  std::optional<std::uint8_t> fill() const override { return std::nullopt; }

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

  // The same in two parts, of which a device can do the second: kernels::augment() with the placement and
  // levels().

  /// Whether all transforms are one placement: then images are stored as the dataset has them, else with
  /// all transforms applied.
  bool is_placement() const { return is_placement_; }
  const ImageShape& stored_shape() const { return is_placement_ ? input_ : output_; }
  /// What takes a stored image of the dataset to the output; the target goes with it. Only where
  /// is_placement() holds.
  kernels::Placement place(Target& target, RandomStream& random, Scratch& scratch) const;
  /// Applies the transforms: `to` has output_shape().pixels() bytes.
  void transform(std::span<const std::uint8_t> from, std::span<std::uint8_t> to, Target& target,
                 RandomStream& random, Scratch& scratch) const;
  /// Leaves an image of output_shape() as it is.
  kernels::Placement identity() const;
  /// The float of each grey level: (channel, 256).
  const std::vector<float>& levels() const { return levels_; }

 private:
  void check_mask(const Target& target) const;
  ImageView apply_transforms(std::span<const std::uint8_t> from, Target& target, RandomStream& random,
                             Scratch& scratch) const;

  ImageShape input_, output_;
  std::vector<std::shared_ptr<const Transform>> transforms_;
  std::vector<const PlacementTransform*> placements_;  // the same, where is_placement_ holds
  bool is_placement_ = true;
  std::size_t largest_ = 0;  // bytes of the largest image between two transforms, with a mask
  std::vector<float> levels_;
};

}  // namespace dlcuda

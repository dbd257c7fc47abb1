#include "dlcuda/data/transforms.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "dlcuda/core/check.h"
#include "dlcuda/kernels/functors/augment.h"

namespace dlcuda {
namespace {

// A box of which a smaller part than this stays in the picture is gone.
constexpr float kLeastVisible = 0.1f;

using kernels::Placement;

/// What a placement makes of planes of 8-bit pixels.
void place_planes(std::span<const std::uint8_t> from, const ImageShape& shape, std::span<std::uint8_t> to,
                  const ImageShape& canvas, const Placement& placement, std::uint8_t fill) {
  std::ranges::fill(to, fill);
  const Placement p = functors::clipped(placement, shape.height, shape.width, canvas.height, canvas.width);
  const std::int64_t columns = p.right - p.left;
  if (columns == 0) return;
  const std::int64_t first = p.mirrored != 0 ? p.column - p.right + 1 : p.column + p.left;
  const auto planes = static_cast<std::int64_t>(from.size()) / (shape.height * shape.width);
  for (std::int64_t plane = 0; plane < planes; ++plane) {
    for (std::int64_t i = p.top; i < p.bottom; ++i) {
      const std::uint8_t* source = from.data() + (plane * shape.height + i + p.row) * shape.width + first;
      std::uint8_t* result = to.data() + (plane * canvas.height + i) * canvas.width + p.left;
      p.mirrored != 0 ? std::reverse_copy(source, source + columns, result)
                      : std::copy_n(source, columns, result);
    }
  }
}

/// Boxes of an image that a transform has placed on a canvas, cut to it. moves: false for one that can only
/// mirror, which leaves the other coordinates bit for bit.
void place_boxes(std::vector<LabelledBox>& boxes, const ImageShape& shape, const ImageShape& canvas,
                 const Placement& p, bool moves) {
  if (p.mirrored != 0) {
    for (LabelledBox& box : boxes) {
      const float right = 1.0f - box.x1;
      box.x1 = 1.0f - box.x2;
      box.x2 = right;
    }
  }
  const std::int64_t top = -p.row, left = p.mirrored != 0 ? p.column - shape.width + 1 : -p.column;
  if (!moves) return;
  const auto moved = [](float part, std::int64_t extent, std::int64_t offset, std::int64_t canvas_extent) {
    return (part * static_cast<float>(extent) + static_cast<float>(offset)) /
           static_cast<float>(canvas_extent);
  };
  const auto area = [](const LabelledBox& box) { return (box.x2 - box.x1) * (box.y2 - box.y1); };
  std::erase_if(boxes, [&](LabelledBox& box) {
    for (float* x : {&box.x1, &box.x2}) *x = moved(*x, shape.width, left, canvas.width);
    for (float* y : {&box.y1, &box.y2}) *y = moved(*y, shape.height, top, canvas.height);
    const float whole = area(box);
    for (float* corner : {&box.x1, &box.y1, &box.x2, &box.y2}) *corner = std::clamp(*corner, 0.0f, 1.0f);
    return area(box) < kLeastVisible * whole;
  });
}

/// All of a picture of `shape`, with the stored one's corner at (top, left).
Placement whole(const ImageShape& shape, std::int64_t top, std::int64_t left) {
  return {.row = static_cast<std::int32_t>(-top),
          .column = static_cast<std::int32_t>(-left),
          .bottom = static_cast<std::int32_t>(shape.height),
          .right = static_cast<std::int32_t>(shape.width)};
}

/// First one, then the other.
Placement composed(const Placement& first, const Placement& then) {
  Placement result = first;
  result.mirrored = first.mirrored ^ then.mirrored;
  result.row = first.row + then.row;
  result.column = first.mirrored != 0 ? first.column - then.column : first.column + then.column;
  result.top = std::max(then.top, first.top - then.row);
  result.bottom = std::min(then.bottom, first.bottom - then.row);
  const bool turned = then.mirrored != 0;
  result.left = std::max(then.left, turned ? then.column - first.right + 1 : first.left - then.column);
  result.right = std::min(then.right, turned ? then.column - first.left + 1 : first.right - then.column);
  return result;
}

std::size_t mask_pixels(const ImageShape& shape) {
  return static_cast<std::size_t>(shape.height) * static_cast<std::size_t>(shape.width);
}

float entry(const std::vector<float>& values, std::int64_t channel) {
  return values.size() == 1 ? values[0] : values[static_cast<std::size_t>(channel)];
}

}  // namespace

void PlacementTransform::apply(const ImageView& from, const MutableImageView& to,
                               std::vector<LabelledBox>& boxes, RandomStream& random) const {
  const Placement p = draw(from.shape, random);
  place_planes(from.pixels, from.shape, to.pixels, to.shape, p, fill().value_or(0));
  if (!from.mask.empty()) place_planes(from.mask, from.shape, to.mask, to.shape, p, kIgnoredPixel);
  place_boxes(boxes, from.shape, to.shape, p, fill().has_value());
}

ImageShape Pad::output_shape(const ImageShape& input) const {
  DLCUDA_CHECK(input.height <= height_ && input.width <= width_, ShapeError,
               "pad: images of {} are larger than the {}x{} they should be padded to", to_string(input),
               height_, width_);
  return {input.channels, height_, width_};
}

Placement Pad::draw(const ImageShape& from, RandomStream&) const {
  return whole(output_shape(from), (height_ - from.height) / 2, (width_ - from.width) / 2);
}

RandomShift::RandomShift(std::int64_t pixels, std::uint8_t fill) : pixels_(pixels), fill_(fill) {
  constexpr std::int64_t kMost = 1 << 24;
  DLCUDA_CHECK(pixels >= 0 && pixels <= kMost, ArgumentError,
               "random shift: the distance must be 0 to {} pixels, got {}", kMost, pixels);
}

Placement RandomShift::draw(const ImageShape& from, RandomStream& random) const {
  const auto offset = [&] {
    return static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(2 * pixels_ + 1))) - pixels_;
  };
  const std::int64_t top = offset(), left = offset();
  return whole(from, top, left);
}

RandomHorizontalFlip::RandomHorizontalFlip(float probability) : probability_(probability) {
  DLCUDA_CHECK(probability >= 0.0f && probability <= 1.0f, ArgumentError,
               "random horizontal flip: a probability is 0 to 1, got {}", probability);
}

Placement RandomHorizontalFlip::draw(const ImageShape& from, RandomStream& random) const {
  Placement result = whole(from, 0, 0);
  if (random.chance(probability_)) {
    result.mirrored = 1;
    result.column = result.right - 1;
  }
  return result;
}

ImagePipeline::ImagePipeline(const ImageShape& input,
                             std::vector<std::shared_ptr<const Transform>> transforms,
                             const Normalization& normalization)
    : input_(input), output_(input), transforms_(std::move(transforms)) {
  std::optional<std::uint8_t> fill;
  for (const auto& transform : transforms_) {
    DLCUDA_CHECK(transform != nullptr, ArgumentError, "image pipeline: a transform is missing");
    const auto* placement = dynamic_cast<const PlacementTransform*>(transform.get());
    placements_.push_back(placement);
    // A placement has one grey level for all pixels that are added.
    const auto added = placement != nullptr ? placement->fill() : std::nullopt;
    is_placement_ = is_placement_ && placement != nullptr && (!added || !fill || *added == *fill);
    if (added) fill = added;
    output_ = transform->output_shape(output_);
    largest_ = std::max(largest_, output_.pixels() + mask_pixels(output_));
  }
  const auto channels = static_cast<std::size_t>(output_.channels);
  for (const auto* values : {&normalization.mean, &normalization.std}) {
    DLCUDA_CHECK(values->size() == 1 || values->size() == channels, ArgumentError,
                 "normalisation: images of {} need 1 or {} means and deviations, got {}", to_string(output_),
                 channels, values->size());
  }
  levels_.resize(channels * 256);
  for (std::int64_t c = 0; c < output_.channels; ++c) {
    const float mean = entry(normalization.mean, c), std = entry(normalization.std, c);
    DLCUDA_CHECK(std::isfinite(mean) && std::isfinite(std) && std > 0.0f, ArgumentError,
                 "normalisation: mean {} and deviation {} of channel {}: both must be finite and the "
                 "deviation positive",
                 mean, std, c);
    for (int level = 0; level < 256; ++level) {
      levels_[static_cast<std::size_t>(c * 256 + level)] = (static_cast<float>(level) / 255.0f - mean) / std;
    }
  }
}

ImageView ImagePipeline::apply_transforms(std::span<const std::uint8_t> from, Target& target,
                                          RandomStream& random, Scratch& scratch) const {
  const bool masked = !target.mask.empty();
  check_mask(target);
  // Two halves, taken in turns.
  if (scratch.size() < 2 * largest_) scratch.resize(2 * largest_);
  ImageView image{input_, from, target.mask};
  bool second = false;
  for (const auto& transform : transforms_) {
    const ImageShape next = transform->output_shape(image.shape);
    const auto half = std::span(scratch).subspan(second ? largest_ : 0, largest_);
    const MutableImageView result{next, half.first(next.pixels()),
                                  half.subspan(next.pixels(), masked ? mask_pixels(next) : 0)};
    transform->apply(image, result, target.boxes, random);
    image = {next, result.pixels, result.mask};
    second = !second;
  }
  if (masked && !transforms_.empty()) target.mask.assign(image.mask.begin(), image.mask.end());
  return image;
}

void ImagePipeline::check_mask(const Target& target) const {
  DLCUDA_CHECK(target.mask.empty() || target.mask.size() == mask_pixels(input_), ArgumentError,
               "image pipeline: expected a mask of {}x{}, got {} pixels", input_.height, input_.width,
               target.mask.size());
}

void ImagePipeline::operator()(std::span<const std::uint8_t> from, std::span<float> to, Target& target,
                               RandomStream& random, Scratch& scratch) const {
  DLCUDA_CHECK(from.size() == input_.pixels() && to.size() == output_.pixels(), ArgumentError,
               "image pipeline: expected buffers for {} and {}, got {} bytes and {} floats",
               to_string(input_), to_string(output_), from.size(), to.size());
  const ImageView image = apply_transforms(from, target, random, scratch);
  const std::size_t plane = to.size() / static_cast<std::size_t>(output_.channels);
  for (std::size_t c = 0; c < static_cast<std::size_t>(output_.channels); ++c) {
    const float* levels = levels_.data() + c * 256;
    const std::uint8_t* source = image.pixels.data() + c * plane;
    float* result = to.data() + c * plane;
    for (std::size_t i = 0; i < plane; ++i) result[i] = levels[source[i]];
  }
}

void ImagePipeline::transform(std::span<const std::uint8_t> from, std::span<std::uint8_t> to, Target& target,
                              RandomStream& random, Scratch& scratch) const {
  DLCUDA_CHECK(from.size() == input_.pixels() && to.size() == output_.pixels(), ArgumentError,
               "image pipeline: expected buffers for {} and {}, got {} and {} bytes", to_string(input_),
               to_string(output_), from.size(), to.size());
  std::ranges::copy(apply_transforms(from, target, random, scratch).pixels, to.begin());
}

Placement ImagePipeline::identity() const { return whole(output_, 0, 0); }

Placement ImagePipeline::place(Target& target, RandomStream& random, Scratch& scratch) const {
  DLCUDA_CHECK(is_placement_, Error, "image pipeline: not all transforms are placements with one fill");
  check_mask(target);
  Placement result = whole(input_, 0, 0);
  ImageShape shape = input_;
  for (const PlacementTransform* transform : placements_) {
    const Placement next = transform->draw(shape, random);
    const ImageShape canvas = transform->output_shape(shape);
    const auto fill = transform->fill();
    place_boxes(target.boxes, shape, canvas, next, fill.has_value());
    result = composed(result, next);
    if (fill) result.fill = *fill;
    shape = canvas;
  }
  if (!target.mask.empty() && !placements_.empty()) {
    scratch.resize(mask_pixels(output_));
    place_planes(target.mask, input_, scratch, output_, result, kIgnoredPixel);
    target.mask.swap(scratch);
  }
  return result;
}

}  // namespace dlcuda

#include "dlcuda/data/transforms.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "dlcuda/core/check.h"

namespace dlcuda {
namespace {

// A box of which a smaller part than this stays in the picture is gone.
constexpr float kLeastVisible = 0.1f;

/// Copies planes of shape.height x shape.width onto larger or smaller ones with their corner at (top, left),
/// which may lie outside; the rest becomes `fill`.
void place_planes(std::span<const std::uint8_t> from, const ImageShape& shape, std::span<std::uint8_t> to,
                  const ImageShape& canvas, std::int64_t top, std::int64_t left, std::uint8_t fill) {
  std::ranges::fill(to, fill);
  const std::int64_t first_row = std::max<std::int64_t>(0, -top),
                     first_column = std::max<std::int64_t>(0, -left);
  const std::int64_t rows = std::min(shape.height, canvas.height - top) - first_row;
  const std::int64_t columns = std::min(shape.width, canvas.width - left) - first_column;
  if (columns <= 0) return;
  const auto planes = static_cast<std::int64_t>(from.size()) / (shape.height * shape.width);
  for (std::int64_t plane = 0; plane < planes; ++plane) {
    for (std::int64_t y = first_row; y < first_row + rows; ++y) {
      std::copy_n(from.data() + (plane * shape.height + y) * shape.width + first_column, columns,
                  to.data() + (plane * canvas.height + y + top) * canvas.width + first_column + left);
    }
  }
}

/// Boxes of an image that lies on a canvas as above, cut to it.
void place_boxes(std::vector<LabelledBox>& boxes, const ImageShape& shape, const ImageShape& canvas,
                 std::int64_t top, std::int64_t left) {
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

void place(const ImageView& from, const MutableImageView& to, std::vector<LabelledBox>& boxes,
           std::int64_t top, std::int64_t left, std::uint8_t fill) {
  place_planes(from.pixels, from.shape, to.pixels, to.shape, top, left, fill);
  if (!from.mask.empty()) {
    place_planes(from.mask, from.shape, to.mask, to.shape, top, left, kIgnoredPixel);
  }
  place_boxes(boxes, from.shape, to.shape, top, left);
}

std::size_t mask_pixels(const ImageShape& shape) {
  return static_cast<std::size_t>(shape.height) * static_cast<std::size_t>(shape.width);
}

float entry(const std::vector<float>& values, std::int64_t channel) {
  return values.size() == 1 ? values[0] : values[static_cast<std::size_t>(channel)];
}

}  // namespace

ImageShape Pad::output_shape(const ImageShape& input) const {
  DLCUDA_CHECK(input.height <= height_ && input.width <= width_, ShapeError,
               "pad: images of {} are larger than the {}x{} they should be padded to", to_string(input),
               height_, width_);
  return {input.channels, height_, width_};
}

void Pad::apply(const ImageView& from, const MutableImageView& to, std::vector<LabelledBox>& boxes,
                RandomStream&) const {
  place(from, to, boxes, (height_ - from.shape.height) / 2, (width_ - from.shape.width) / 2, fill_);
}

RandomShift::RandomShift(std::int64_t pixels, std::uint8_t fill) : pixels_(pixels), fill_(fill) {
  DLCUDA_CHECK(pixels >= 0, ArgumentError, "random shift: the distance must not be negative, got {}", pixels);
}

void RandomShift::apply(const ImageView& from, const MutableImageView& to, std::vector<LabelledBox>& boxes,
                        RandomStream& random) const {
  const auto offset = [&] {
    return static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(2 * pixels_ + 1))) - pixels_;
  };
  const std::int64_t top = offset(), left = offset();
  place(from, to, boxes, top, left, fill_);
}

RandomHorizontalFlip::RandomHorizontalFlip(float probability) : probability_(probability) {
  DLCUDA_CHECK(probability >= 0.0f && probability <= 1.0f, ArgumentError,
               "random horizontal flip: a probability is 0 to 1, got {}", probability);
}

void RandomHorizontalFlip::apply(const ImageView& from, const MutableImageView& to,
                                 std::vector<LabelledBox>& boxes, RandomStream& random) const {
  const bool mirrored = random.chance(probability_);
  const auto width = static_cast<std::size_t>(from.shape.width);
  const auto copy = [&](std::span<const std::uint8_t> source, std::span<std::uint8_t> target) {
    for (std::size_t row = 0; row < source.size(); row += width) {
      const auto line = source.subspan(row, width);
      const auto result = target.begin() + static_cast<std::ptrdiff_t>(row);
      mirrored ? std::ranges::reverse_copy(line, result).out : std::ranges::copy(line, result).out;
    }
  };
  copy(from.pixels, to.pixels);
  copy(from.mask, to.mask);
  if (!mirrored) return;
  for (LabelledBox& box : boxes) {
    const float right = 1.0f - box.x1;
    box.x1 = 1.0f - box.x2;
    box.x2 = right;
  }
}

ImagePipeline::ImagePipeline(const ImageShape& input,
                             std::vector<std::shared_ptr<const Transform>> transforms,
                             const Normalization& normalization)
    : input_(input), output_(input), transforms_(std::move(transforms)) {
  for (const auto& transform : transforms_) {
    DLCUDA_CHECK(transform != nullptr, ArgumentError, "image pipeline: a transform is missing");
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

void ImagePipeline::operator()(std::span<const std::uint8_t> from, std::span<float> to, Target& target,
                               RandomStream& random, Scratch& scratch) const {
  DLCUDA_CHECK(from.size() == input_.pixels() && to.size() == output_.pixels(), ArgumentError,
               "image pipeline: expected buffers for {} and {}, got {} bytes and {} floats",
               to_string(input_), to_string(output_), from.size(), to.size());
  const bool masked = !target.mask.empty();
  DLCUDA_CHECK(!masked || target.mask.size() == mask_pixels(input_), ArgumentError,
               "image pipeline: expected a mask of {}x{}, got {} pixels", input_.height, input_.width,
               target.mask.size());
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
  const std::size_t plane = to.size() / static_cast<std::size_t>(output_.channels);
  for (std::size_t c = 0; c < static_cast<std::size_t>(output_.channels); ++c) {
    const float* levels = levels_.data() + c * 256;
    const std::uint8_t* source = image.pixels.data() + c * plane;
    float* result = to.data() + c * plane;
    for (std::size_t i = 0; i < plane; ++i) result[i] = levels[source[i]];
  }
}

}  // namespace dlcuda

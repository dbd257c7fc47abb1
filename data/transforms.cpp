#include "dlcuda/data/transforms.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "dlcuda/core/check.h"

namespace dlcuda {
namespace {

/// Copies an image onto a canvas with its corner at (top, left), which may lie outside; the rest becomes
/// `fill`.
void place(std::span<const std::uint8_t> from, const ImageShape& shape, std::span<std::uint8_t> to,
           const ImageShape& canvas, std::int64_t top, std::int64_t left, std::uint8_t fill) {
  std::ranges::fill(to, fill);
  const std::int64_t first_row = std::max<std::int64_t>(0, -top),
                     first_column = std::max<std::int64_t>(0, -left);
  const std::int64_t rows = std::min(shape.height, canvas.height - top) - first_row;
  const std::int64_t columns = std::min(shape.width, canvas.width - left) - first_column;
  if (columns <= 0) return;
  for (std::int64_t c = 0; c < shape.channels; ++c) {
    for (std::int64_t y = first_row; y < first_row + rows; ++y) {
      std::copy_n(from.data() + (c * shape.height + y) * shape.width + first_column, columns,
                  to.data() + (c * canvas.height + y + top) * canvas.width + first_column + left);
    }
  }
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

void Pad::apply(std::span<const std::uint8_t> from, const ImageShape& shape, std::span<std::uint8_t> to,
                RandomStream&) const {
  place(from, shape, to, output_shape(shape), (height_ - shape.height) / 2, (width_ - shape.width) / 2,
        fill_);
}

RandomShift::RandomShift(std::int64_t pixels, std::uint8_t fill) : pixels_(pixels), fill_(fill) {
  DLCUDA_CHECK(pixels >= 0, ArgumentError, "random shift: the distance must not be negative, got {}", pixels);
}

void RandomShift::apply(std::span<const std::uint8_t> from, const ImageShape& shape,
                        std::span<std::uint8_t> to, RandomStream& random) const {
  const auto offset = [&] {
    return static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(2 * pixels_ + 1))) - pixels_;
  };
  const std::int64_t top = offset(), left = offset();
  place(from, shape, to, shape, top, left, fill_);
}

ImagePipeline::ImagePipeline(const ImageShape& input,
                             std::vector<std::shared_ptr<const Transform>> transforms,
                             const Normalization& normalization)
    : input_(input), output_(input), transforms_(std::move(transforms)) {
  for (const auto& transform : transforms_) {
    DLCUDA_CHECK(transform != nullptr, ArgumentError, "image pipeline: a transform is missing");
    output_ = transform->output_shape(output_);
    largest_ = std::max(largest_, output_.pixels());
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

void ImagePipeline::operator()(std::span<const std::uint8_t> from, std::span<float> to, RandomStream& random,
                               Scratch& scratch) const {
  DLCUDA_CHECK(from.size() == input_.pixels() && to.size() == output_.pixels(), ArgumentError,
               "image pipeline: expected buffers for {} and {}, got {} bytes and {} floats",
               to_string(input_), to_string(output_), from.size(), to.size());
  // Two halves, taken in turns.
  if (scratch.size() < 2 * largest_) scratch.resize(2 * largest_);
  std::span<const std::uint8_t> image = from;
  ImageShape shape = input_;
  bool second = false;
  for (const auto& transform : transforms_) {
    const ImageShape next = transform->output_shape(shape);
    const auto target = std::span(scratch).subspan(second ? largest_ : 0, next.pixels());
    transform->apply(image, shape, target, random);
    image = target;
    shape = next;
    second = !second;
  }
  const std::size_t plane = to.size() / static_cast<std::size_t>(output_.channels);
  for (std::size_t c = 0; c < static_cast<std::size_t>(output_.channels); ++c) {
    const float* levels = levels_.data() + c * 256;
    const std::uint8_t* source = image.data() + c * plane;
    float* target = to.data() + c * plane;
    for (std::size_t i = 0; i < plane; ++i) target[i] = levels[source[i]];
  }
}

}  // namespace dlcuda

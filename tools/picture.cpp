#include "dlcuda/tools/picture.h"

#include <algorithm>

#include "dlcuda/core/check.h"
#include "dlcuda/data/resize.h"
#include "dlcuda/data/transforms.h"
#include "dlcuda/kernels/copy.h"
#include "dlcuda/kernels/reduce.h"

namespace dlcuda::tool {
namespace {

bool has_size(const Image& picture, const ImageShape& size) {
  return picture.shape.height == size.height && picture.shape.width == size.width;
}

/// Large enough to cut `size` out of it, and not larger than that takes.
Image cover(const Image& picture, const ImageShape& size) {
  constexpr std::int64_t kSmall = 64;
  const std::int64_t side = std::max(size.height, size.width);
  const std::int64_t scaled = side < kSmall ? side : (side * 8 + 3) / 7;
  return center_crop(resize_shorter_side(picture, scaled), size.height, size.width);
}

}  // namespace

Image read_picture(const std::filesystem::path& path, const LoadedModel& model) {
  return read_image(path, {.channels = model.input.channels, .apply_orientation = true});
}

Image fit(const Image& picture, const LoadedModel& model) {
  if (has_size(picture, model.input)) return picture;
  if (model.zoo.prediction == Prediction::Classes) return cover(picture, model.input);
  return resize_image(picture, model.input.height, model.input.width);
}

Tensor to_tensor(const Image& picture, const LoadedModel& model) {
  const ImagePipeline pipeline(model.input, {}, model.normalization);
  const Tensor x = Tensor::empty({1, model.input.channels, model.input.height, model.input.width});
  RandomStream random(0, 0, 0);  // there is nothing random in it
  ImagePipeline::Scratch scratch;
  Target none;
  pipeline(picture.pixels, std::span(x.data<float>(), picture.pixels.size()), none, random, scratch);
  return x;
}

std::vector<std::int64_t> pixel_classes(const Tensor& logits, const ImageShape& shape,
                                        const LoadedModel& model) {
  const std::int64_t height = logits.size(2), width = logits.size(3);
  const std::vector<std::int64_t> found = [&] {
    if (logits.size(1) > 1) return kernels::argmax(logits, 1).values<std::int64_t>();
    std::vector<std::int64_t> inside;
    for (const float logit : kernels::contiguous(logits).values<float>()) inside.push_back(logit > 0 ? 1 : 0);
    return inside;
  }();
  std::vector<std::int64_t> classes(std::size_t(shape.height * shape.width), 0);
  for (std::int64_t y = 0, i = 0; y < shape.height; ++y) {
    // The pixel of the model's input that lies there, and then of its output.
    const std::int64_t row = y * model.input.height / shape.height - (model.input.height - height) / 2;
    for (std::int64_t x = 0; x < shape.width; ++x, ++i) {
      const std::int64_t column = x * model.input.width / shape.width - (model.input.width - width) / 2;
      if (row < 0 || row >= height || column < 0 || column >= width) continue;
      classes[std::size_t(i)] = found[std::size_t(row * width + column)];
    }
  }
  return classes;
}

}  // namespace dlcuda::tool

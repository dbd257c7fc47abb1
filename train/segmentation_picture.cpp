#include "dlcuda/train/segmentation_picture.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "dlcuda/core/check.h"
#include "dlcuda/data/draw.h"
#include "dlcuda/kernels/pad.h"
#include "dlcuda/kernels/reduce.h"

namespace dlcuda {
namespace {

constexpr std::int64_t kLeastTile = 128;  // pixels; smaller tiles are enlarged
constexpr std::int64_t kGap = 4;
constexpr std::int64_t kColumns = 2, kTiles = 3;
constexpr double kShare = 0.85;  // of a class's colour

/// Picture `n` of the batch in colour, as it was before it was normalised.
Image picture(const Batch& batch, std::int64_t n, const Normalization& normalization) {
  const std::int64_t channels = batch.images.size(1);
  Image image{{3, batch.images.size(2), batch.images.size(3)}, {}};
  image.pixels.resize(image.shape.pixels());
  const std::size_t plane = image.plane_size();
  for (std::int64_t c = 0; c < 3; ++c) {
    const std::int64_t source = channels == 3 ? c : 0;
    const float* from = batch.images.data<float>() + static_cast<std::size_t>(n * channels + source) * plane;
    const auto entry = [&](const std::vector<float>& values) {
      return values.size() == 1 ? values[0] : values[static_cast<std::size_t>(source)];
    };
    const float mean = entry(normalization.mean), deviation = entry(normalization.std);
    std::ranges::transform(std::span(from, plane), image.plane(c).begin(), [&](float value) {
      return static_cast<std::uint8_t>(
          std::lround(std::clamp((value * deviation + mean) * 255.0f, 0.0f, 255.0f)));
    });
  }
  return image;
}

/// Dark grey, in which the colours of classes stand out.
Image faded(Image image) {
  const auto red = image.plane(0), green = image.plane(1), blue = image.plane(2);
  for (std::size_t i = 0; i < image.plane_size(); ++i) {
    red[i] = green[i] = blue[i] = static_cast<std::uint8_t>((red[i] + green[i] + blue[i]) / 6);
  }
  return image;
}

std::vector<std::int64_t> without_ignored(std::span<const std::int64_t> labels) {
  std::vector<std::int64_t> classes(labels.begin(), labels.end());
  std::ranges::replace(classes, kNoLabel, std::int64_t{0});
  return classes;
}

/// Copies `tile` to (left, top), each pixel `factor` times in both directions.
void place(const Image& tile, Image& sheet, std::int64_t left, std::int64_t top, std::int64_t factor) {
  for (std::int64_t c = 0; c < 3; ++c) {
    const auto from = tile.plane(c);
    const auto to = sheet.plane(c);
    for (std::int64_t y = 0; y < tile.shape.height * factor; ++y) {
      for (std::int64_t x = 0; x < tile.shape.width * factor; ++x) {
        to[static_cast<std::size_t>((top + y) * sheet.shape.width + left + x)] =
            from[static_cast<std::size_t>(y / factor * tile.shape.width + x / factor)];
      }
    }
  }
}

}  // namespace

Image draw_segmentation(const Batch& batch, const Tensor& logits, const Normalization& normalization) {
  const Tensor& images = batch.images;
  DLCUDA_CHECK(images.rank() == 4 && (images.size(1) == 1 || images.size(1) == 3) &&
                   batch.labels.shape() == Shape({images.size(0), images.size(2), images.size(3)}),
               ShapeError, "draw_segmentation: images {} of 1 or 3 channels need labels (N, H, W), got {}",
               to_string(images.shape()), to_string(batch.labels.shape()));
  const std::int64_t height = images.size(2), width = images.size(3), count = images.size(0);
  DLCUDA_CHECK(
      logits.rank() == 4 && logits.size(0) == count && logits.size(2) <= height && logits.size(3) <= width,
      ShapeError, "draw_segmentation: logits {} do not fit images {}", to_string(logits.shape()),
      to_string(images.shape()));
  const std::int64_t rows = height - logits.size(2), columns = width - logits.size(3);
  const kernels::AxisPadding around[] = {
      {}, {rows / 2, rows - rows / 2}, {columns / 2, columns - columns / 2}};
  const auto predicted = kernels::pad(kernels::argmax(logits, 1), around).values<std::int64_t>();
  const auto labels = without_ignored(batch.labels.values<std::int64_t>());

  const std::int64_t factor = std::max<std::int64_t>(1, kLeastTile / std::max(height, width));
  const std::int64_t tile_width = width * factor + kGap, tile_height = height * factor + kGap;
  const std::int64_t triples = (count + kColumns - 1) / kColumns;
  Image sheet{{3, triples * tile_height + kGap, kColumns * kTiles * tile_width + (kColumns + 1) * kGap}, {}};
  sheet.pixels.assign(sheet.shape.pixels(), 255);
  for (std::int64_t n = 0; n < count; ++n) {
    const Image plain = picture(batch, n, normalization);
    const std::size_t pixels = plain.plane_size();
    const std::int64_t column = n % kColumns, top = n / kColumns * tile_height + kGap;
    std::int64_t left = column * (kTiles * tile_width + kGap) + kGap;
    place(plain, sheet, left, top, factor);
    for (const auto* classes : {&labels, &predicted}) {
      Image overlaid = faded(plain);
      overlay_classes(overlaid, std::span(*classes).subspan(static_cast<std::size_t>(n) * pixels, pixels),
                      kShare);
      place(overlaid, sheet, left += tile_width, top, factor);
    }
  }
  return sheet;
}

}  // namespace dlcuda

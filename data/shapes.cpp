#include "dlcuda/data/shapes.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "dlcuda/core/check.h"
#include "dlcuda/data/random_stream.h"
#include "dlcuda/data/shape_outlines.h"

// Only + - * / and square roots are used, which IEEE 754 defines to the last bit, and no function of libm:
// the set is the same wherever it is drawn.

namespace dlcuda {
namespace {

constexpr std::size_t kChannels = 3;
using Colour = std::array<float, kChannels>;

// How much the pictures vary. Radii are in parts of the picture's side, colours in grey levels.
constexpr float kMinLargeRadius = 0.2f, kMaxLargeRadius = 0.42f;   // one shape to classify
constexpr float kMinSmallRadius = 0.11f, kMaxSmallRadius = 0.23f;  // of several
constexpr float kLeastRadius = 5.5f;  // in pixels: smaller ones cannot be told apart
constexpr float kGap = 2.0f;          // pixels between two shapes, at least
constexpr int kPlaceTries = 16;
constexpr float kDarkest = 25.0f, kBrightest = 230.0f;
constexpr float kBackgroundContrast = 60.0f, kShapeContrast = 25.0f;  // of a texture's two colours
constexpr float kLeastDifference = 130.0f;  // of a shape to its background, summed over channels
constexpr int kColourTries = 8;
constexpr float kMinGrain = 4.0f, kMaxGrain = 28.0f;

/// A smooth random field: numbers on a lattice, and soft steps between them.
class Field {
 public:
  static constexpr std::size_t kMostCells = 16;

  /// About `cells` lattice cells along each side.
  Field(RandomStream& random, std::int64_t side, float cells) : per_pixel_(cells / static_cast<float>(side)) {
    // The lattice is read to one beyond the last cell that a pixel falls into.
    lattice_size_ = static_cast<std::size_t>(cells) + 2;
    for (std::size_t i = 0; i < lattice_size_ * lattice_size_; ++i) lattice_[i] = random.uniform();
  }

  /// Adds factor * field to a row of pixels.
  void add_row(std::int64_t y, float factor, std::span<float> row) const {
    const auto [cell, weight] = place(y);
    const float* upper = lattice_.data() + cell * lattice_size_;
    const float* lower = upper + lattice_size_;
    std::array<float, kMostCells + 2> line;
    for (std::size_t i = 0; i < lattice_size_; ++i) {
      line[i] = factor * (upper[i] + weight * (lower[i] - upper[i]));
    }
    for (std::size_t x = 0; x < row.size(); ++x) {
      const auto [column, part] = place(static_cast<std::int64_t>(x));
      row[x] += line[column] + part * (line[column + 1] - line[column]);
    }
  }

 private:
  struct Place {
    std::size_t cell;
    float weight;
  };
  Place place(std::int64_t pixel) const {
    const float position = static_cast<float>(pixel) * per_pixel_;
    const auto cell = static_cast<std::size_t>(position);
    const float t = position - static_cast<float>(cell);
    return {cell, t * t * (3.0f - 2.0f * t)};
  }

  float per_pixel_;
  std::size_t lattice_size_;
  std::array<float, (kMostCells + 2) * (kMostCells + 2)> lattice_;
};

/// Between two colours, after a field.
struct Paint {
  Colour from, to;
};

float channel(float value) { return std::clamp(value, kDarkest, kBrightest); }

Paint draw_paint(RandomStream& random, float contrast) {
  Paint paint;
  for (std::size_t c = 0; c < kChannels; ++c) {
    const float middle = random.uniform(kDarkest, kBrightest),
                spread = contrast * random.uniform(-1.0f, 1.0f);
    paint.from[c] = channel(middle - spread);
    paint.to[c] = channel(middle + spread);
  }
  return paint;
}

float difference(const Paint& a, const Paint& b) {
  float sum = 0;
  for (std::size_t c = 0; c < kChannels; ++c) {
    sum += std::abs(0.5f * (a.from[c] + a.to[c] - b.from[c] - b.to[c]));
  }
  return sum;
}

/// A paint that can be told from the background.
Paint draw_shape_paint(RandomStream& random, const Paint& background) {
  Paint best = draw_paint(random, kShapeContrast);
  for (int i = 1; i < kColourTries && difference(best, background) < kLeastDifference; ++i) {
    const Paint other = draw_paint(random, kShapeContrast);
    if (difference(other, background) > difference(best, background)) best = other;
  }
  return best;
}

struct PlacedShape {
  int kind;
  Point2 centre;
  float radius;
  Point2 axis;  // of length 1: where the shape's own x axis points
  Paint paint;

  /// How far a pixel's centre lies outside, in pixels.
  float outside(std::int64_t x, std::int64_t y) const {
    const Point2 to{static_cast<float>(x) + 0.5f - centre.x, static_cast<float>(y) + 0.5f - centre.y};
    return radius * distance_to_shape(kind, {(to.x * axis.x + to.y * axis.y) / radius,
                                             (to.y * axis.x - to.x * axis.y) / radius});
  }
};

/// A direction, all equally likely: a point in the unit disc, moved to its edge.
Point2 draw_direction(RandomStream& random) {
  for (;;) {
    const Point2 p{random.uniform(-1.0f, 1.0f), random.uniform(-1.0f, 1.0f)};
    const float square = p.x * p.x + p.y * p.y;
    if (square > 1.0f || square < 0.01f) continue;
    const float length = std::sqrt(square);
    return {p.x / length, p.y / length};
  }
}

class Scene {
 public:
  Scene(RandomStream& random, std::int64_t side, std::int64_t index, bool several)
      : side_(static_cast<float>(side)), background_(draw_paint(random, kBackgroundContrast)) {
    if (several) {
      const std::uint64_t wanted = 1 + random.below(kMostShapes);
      for (std::uint64_t i = 0; i < wanted; ++i) {
        add(random, static_cast<int>(random.below(kShapeNames.size())), kMinSmallRadius, kMaxSmallRadius);
      }
    } else {
      add(random, static_cast<int>(index % std::int64_t{kShapeNames.size()}), kMinLargeRadius,
          kMaxLargeRadius);
    }
  }

  const Paint& background() const { return background_; }
  std::span<const PlacedShape> shapes() const { return std::span(shapes_).first(count_); }

 private:
  /// Adds a shape where there is room for it.
  void add(RandomStream& random, int kind, float min_radius, float max_radius) {
    const float radius =
        std::min(std::max(side_ * random.uniform(min_radius, max_radius), kLeastRadius), side_ / 2.0f);
    const Point2 axis = draw_direction(random);
    const Paint paint = draw_shape_paint(random, background_);
    for (int i = 0; i < kPlaceTries; ++i) {
      const Point2 centre{random.uniform(radius, side_ - radius), random.uniform(radius, side_ - radius)};
      const bool free = std::ranges::all_of(shapes(), [&](const PlacedShape& other) {
        const float x = centre.x - other.centre.x, y = centre.y - other.centre.y,
                    apart = radius + other.radius + kGap;
        return x * x + y * y >= apart * apart;
      });
      if (!free) continue;
      shapes_[count_++] = {kind, centre, radius, axis, paint};
      return;
    }
  }

  float side_;
  Paint background_;
  std::array<PlacedShape, kMostShapes> shapes_;
  std::size_t count_ = 0;
};

/// The pixels that a shape has, for its box.
struct PixelBounds {
  std::int64_t left = kMostShapesSide, top = kMostShapesSide, right = -1, bottom = -1;

  void add(std::int64_t x, std::int64_t y) {
    left = std::min(left, x);
    top = std::min(top, y);
    right = std::max(right, x);
    bottom = std::max(bottom, y);
  }
  LabelledBox box(std::int64_t side, std::int64_t label) const {
    const auto part = [&](std::int64_t pixel) {
      return static_cast<float>(pixel) / static_cast<float>(side);
    };
    return {part(left), part(top), part(right + 1), part(bottom + 1), label};
  }
};

/// Paints a scene row by row.
class Painter {
 public:
  Painter(RandomStream& random, const Scene& scene, std::int64_t side)
      : random_(random),
        scene_(scene),
        side_(side),
        coarse_(random, side, random.uniform(2.0f, 5.0f)),
        fine_(random, side, random.uniform(7.0f, float{Field::kMostCells})),
        grain_(random.uniform(kMinGrain, kMaxGrain)) {}

  void paint(std::span<std::uint8_t> pixels, Target& target, const TargetFormat& format) {
    const auto side = static_cast<std::size_t>(side_);
    if (format.kind == TargetKind::Mask) target.mask.assign(side * side, 0);
    for (std::int64_t y = 0; y < side_; ++y) {
      paint_background(y);
      for (std::size_t i = 0; i < scene_.shapes().size(); ++i) paint_shape(i, y, target.mask);
      for (std::size_t c = 0; c < kChannels; ++c) {
        develop(std::span(row_[c]).first(side),
                pixels.subspan((c * side + static_cast<std::size_t>(y)) * side, side));
      }
    }
    if (format.kind != TargetKind::Boxes) return;
    for (std::size_t i = 0; i < scene_.shapes().size(); ++i) {
      target.boxes.push_back(bounds_[i].box(side_, scene_.shapes()[i].kind));
    }
  }

 private:
  void paint_background(std::int64_t y) {
    const auto field = std::span(field_).first(static_cast<std::size_t>(side_));
    std::ranges::fill(field, 0.0f);
    coarse_.add_row(y, 0.6f, field);
    fine_.add_row(y, 0.4f, field);
    const Paint& paint = scene_.background();
    for (std::size_t c = 0; c < kChannels; ++c) {
      for (std::size_t x = 0; x < field.size(); ++x) {
        row_[c][x] = paint.from[c] + field[x] * (paint.to[c] - paint.from[c]);
      }
    }
  }

  void paint_shape(std::size_t which, std::int64_t y, std::span<std::uint8_t> mask) {
    const PlacedShape& shape = scene_.shapes()[which];
    const float reach = shape.radius + 1.0f;
    if (std::abs(static_cast<float>(y) + 0.5f - shape.centre.y) > reach) return;
    const auto left = static_cast<std::int64_t>(std::max(shape.centre.x - reach, 0.0f)),
               right = std::min(static_cast<std::int64_t>(shape.centre.x + reach) + 1, side_);
    for (std::int64_t x = left; x < right; ++x) {
      const float outside = shape.outside(x, y);
      const float cover = std::clamp(0.5f - outside, 0.0f, 1.0f);  // an edge is one pixel soft
      if (cover == 0.0f) continue;
      const auto at = static_cast<std::size_t>(x);
      for (std::size_t c = 0; c < kChannels; ++c) {
        const float ink = shape.paint.from[c] + field_[at] * (shape.paint.to[c] - shape.paint.from[c]);
        row_[c][at] += cover * (ink - row_[c][at]);
      }
      if (outside > 0.0f) continue;
      bounds_[which].add(x, y);
      if (!mask.empty()) {
        mask[static_cast<std::size_t>(y * side_ + x)] = static_cast<std::uint8_t>(shape.kind + 1);
      }
    }
  }

  /// Grain on everything, and rounding.
  void develop(std::span<const float> row, std::span<std::uint8_t> pixels) {
    for (std::size_t x = 0; x < row.size();) {
      std::uint32_t bits = random_.bits();
      for (const std::size_t end = std::min(x + 4, row.size()); x < end; ++x, bits >>= 8) {
        const float grain = grain_ * (static_cast<float>(bits & 255u) * (2.0f / 255.0f) - 1.0f);
        pixels[x] = static_cast<std::uint8_t>(std::clamp(row[x] + grain, 0.0f, 255.0f) + 0.5f);
      }
    }
  }

  RandomStream& random_;
  const Scene& scene_;
  std::int64_t side_;
  Field coarse_, fine_;
  float grain_;
  std::array<PixelBounds, kMostShapes> bounds_;
  std::array<float, kMostShapesSide> field_;
  std::array<std::array<float, kMostShapesSide>, kChannels> row_;
};

class Shapes : public ImageDataset {
 public:
  explicit Shapes(const ShapesConfig& config) : config_(config) {
    if (config.target == TargetKind::Mask) names_.emplace_back("background");
    names_.insert(names_.end(), kShapeNames.begin(), kShapeNames.end());
  }
  std::int64_t size() const override { return config_.count; }
  ImageShape image_shape() const override { return {kChannels, config_.side, config_.side}; }
  const std::vector<std::string>& class_names() const override { return names_; }
  TargetFormat target_format() const override {
    return {config_.target, config_.target == TargetKind::Boxes ? kMostShapes : 0};
  }

 private:
  void read_image(std::int64_t index, std::span<std::uint8_t> pixels, Target& target) const override {
    const bool several = config_.target != TargetKind::Class;
    const std::int64_t item = config_.first + index;
    // The digits are the generated data of step 0.
    RandomStream random(random_key(config_.seed, RandomDomain::GeneratedData),
                        static_cast<std::uint64_t>(item), several ? 2 : 1);
    const Scene scene(random, config_.side, item, several);
    if (!several) target.label = scene.shapes()[0].kind;
    Painter(random, scene, config_.side).paint(pixels, target, target_format());
  }

  ShapesConfig config_;
  std::vector<std::string> names_;
};

}  // namespace

std::shared_ptr<const ImageDataset> generated_shapes(const ShapesConfig& config) {
  DLCUDA_CHECK(config.side >= kLeastShapesSide && config.side <= kMostShapesSide, ArgumentError,
               "shapes: a picture's side is {} to {} pixels, got {}", kLeastShapesSide, kMostShapesSide,
               config.side);
  DLCUDA_CHECK(config.first >= 0 && config.count >= 0 && config.first <= (std::int64_t{1} << 62) &&
                   config.count <= (std::int64_t{1} << 40),
               ArgumentError, "shapes: cannot draw {} pictures from picture {}", config.count, config.first);
  return std::make_shared<Shapes>(config);
}

}  // namespace dlcuda

#include "dlcuda/data/digits.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "dlcuda/core/check.h"
#include "dlcuda/core/parallel.h"
#include "dlcuda/data/digit_shapes.h"
#include "dlcuda/data/random_stream.h"

// Only + - * / and square roots are used, which IEEE 754 defines to the last bit, and no function of libm:
// the set is the same wherever it is drawn.

namespace dlcuda {
namespace {

constexpr int kSide = kDigitSide;
constexpr std::size_t kPixels = kDigitSide * kDigitSide;

// How much the pictures vary. Lengths are in pixels unless they say otherwise.
constexpr float kTremble = 0.055f;  // of control points, in units of the unit square
constexpr float kBow = 0.04f;       // of straight lines, likewise
constexpr float kMaxTurn = 0.26f;   // radians, 15 degrees
constexpr float kMaxShear = 0.35f;  // horizontal per vertical
constexpr float kMinHeight = 15.0f, kMaxHeight = 22.0f;
constexpr float kMinAspect = 0.65f, kMaxAspect = 1.15f;
constexpr float kMaxShift = 2.5f;
constexpr float kMinPen = 0.7f, kMaxPen = 1.75f;  // radius
constexpr float kStrayChance = 0.15f;
constexpr float kMaxNoise = 40.0f;  // grey levels

struct Point {
  float x, y;
};

Point operator+(Point a, Point b) { return {a.x + b.x, a.y + b.y}; }
Point operator-(Point a, Point b) { return {a.x - b.x, a.y - b.y}; }
Point operator*(float s, Point a) { return {s * a.x, s * a.y}; }
float dot(Point a, Point b) { return a.x * b.x + a.y * b.y; }

/// Where the unit square goes in the picture.
class Placement {
 public:
  explicit Placement(RandomStream& random) {
    const float height = random.uniform(kMinHeight, kMaxHeight);
    const float width = height * random.uniform(kMinAspect, kMaxAspect);
    const float shear = kMaxShear * random.bell();
    // Angles are small, so two terms of the series describe a turn well enough.
    const float angle = kMaxTurn * random.uniform(-1.0f, 1.0f), square = angle * angle;
    const float sine = angle * (1.0f - square / 6.0f),
                cosine = 1.0f - square / 2.0f + square * square / 24.0f;
    x_axis_ = {width * cosine, width * sine};
    y_axis_ = {height * (-sine - shear * cosine), height * (cosine - shear * sine)};
    centre_ = {kSide / 2.0f + kMaxShift * random.uniform(-1.0f, 1.0f),
               kSide / 2.0f + kMaxShift * random.uniform(-1.0f, 1.0f)};
  }
  Point operator()(Point p) const { return centre_ + (p.x - 0.5f) * x_axis_ + (p.y - 0.5f) * y_axis_; }

 private:
  Point x_axis_, y_axis_, centre_;
};

/// For every pixel, how far its centre lies outside the ink (negative: inside).
class Canvas {
 public:
  Canvas() { outside_.fill(std::numeric_limits<float>::max()); }

  void line(Point a, Point b, float radius) {
    constexpr float kSoftEdge = 1.5f;
    const float reach = radius + kSoftEdge;
    const int left = pixel(std::min(a.x, b.x) - reach), right = pixel(std::max(a.x, b.x) + reach),
              top = pixel(std::min(a.y, b.y) - reach), bottom = pixel(std::max(a.y, b.y) + reach);
    const Point along = b - a;
    const float length_squared = dot(along, along);
    const float inverse = length_squared > 0.0f ? 1.0f / length_squared : 0.0f;
    for (int y = top; y <= bottom; ++y) {
      for (int x = left; x <= right; ++x) {
        const Point to{static_cast<float>(x) + 0.5f - a.x, static_cast<float>(y) + 0.5f - a.y};
        const float t = std::min(std::max(dot(to, along) * inverse, 0.0f), 1.0f);
        const Point off = to - t * along;
        float& outside = outside_[static_cast<std::size_t>(y * kSide + x)];
        outside = std::min(outside, std::sqrt(dot(off, off)) - radius);
      }
    }
  }

  float operator[](std::size_t pixel) const { return outside_[pixel]; }

 private:
  static int pixel(float position) {
    return static_cast<int>(std::min(std::max(position, 0.0f), static_cast<float>(kSide - 1)));
  }
  std::array<float, kPixels> outside_;
};

/// A pen whose width changes a little along each stroke.
class Pen {
 public:
  Pen(Canvas& canvas, RandomStream& random, float radius)
      : canvas_(canvas), random_(random), radius_(radius) {}

  void down(Point start) {
    at_ = start;
    now_ = radius_ * random_.uniform(0.85f, 1.15f);
    change_ = radius_ * random_.uniform(-0.04f, 0.04f);
  }
  /// A cubic Bezier curve through which the spline goes from one control point to the next.
  void curve(Point c1, Point c2, Point end) {
    const Point start = at_;
    constexpr int kPieces = 4;
    for (int i = 1; i <= kPieces; ++i) {
      const float t = static_cast<float>(i) / kPieces, s = 1.0f - t;
      line(s * s * s * start + 3.0f * s * s * t * c1 + 3.0f * s * t * t * c2 + t * t * t * end);
    }
  }
  void line(Point end) {
    canvas_.line(at_, end, now_);
    at_ = end;
    now_ = std::max(now_ + change_, 0.5f * radius_);
  }

 private:
  Canvas& canvas_;
  RandomStream& random_;
  float radius_, now_ = 0.0f, change_ = 0.0f;
  Point at_{};
};

/// Draws a smooth run: a Catmull-Rom spline through the points, as Bezier curves.
void draw_run(Pen& pen, std::span<const Point> run) {
  for (std::size_t i = 0; i + 1 < run.size(); ++i) {
    const Point from = run[i], to = run[i + 1];
    const Point before = i > 0 ? run[i - 1] : from, after = i + 2 < run.size() ? run[i + 2] : to;
    pen.curve(from + (1.0f / 6.0f) * (to - before), to - (1.0f / 6.0f) * (after - from), to);
  }
}

void draw_stroke(Pen& pen, const PenStroke& stroke, const Placement& place, RandomStream& random) {
  std::array<Point, kMostRunPoints> run;
  std::size_t length = 0;
  const auto tremble = [&](float amount) { return Point{amount * random.bell(), amount * random.bell()}; };
  for (std::size_t i = 0; i < stroke.size(); ++i) {
    const Point here = Point{stroke[i].x, stroke[i].y} + tremble(kTremble);
    const bool ends = i + 1 == stroke.size() || stroke[i].corner;
    if (ends && length == 1) {
      // A straight line from the last point: nobody's is perfectly straight.
      run[length++] = 0.5f * (run[0] + here) + tremble(kBow);
    }
    run[length++] = here;
    if (i == 0) pen.down(place(here));
    if (i == 0 || !ends) continue;
    std::array<Point, kMostRunPoints> placed;
    for (std::size_t k = 0; k < length; ++k) placed[k] = place(run[k]);
    draw_run(pen, std::span(placed).first(length));
    run[0] = here;
    length = 1;
  }
}

/// A short stroke near an edge, as of a neighbouring letter.
void draw_stray(Pen& pen, RandomStream& random) {
  const float along = random.uniform(2.0f, kSide - 2.0f), depth = random.uniform(0.0f, 3.5f);
  Point from{along, depth};
  switch (random.below(4)) {
    case 0:
      break;
    case 1:
      from.y = kSide - depth;
      break;
    case 2:
      from = {depth, along};
      break;
    default:
      from = {kSide - depth, along};
  }
  pen.down(from);
  pen.line(from + Point{random.uniform(-5.0f, 5.0f), random.uniform(-5.0f, 5.0f)});
}

/// Ink with a soft edge, and noise on everything.
void develop(const Canvas& canvas, RandomStream& random, std::span<std::uint8_t> pixels) {
  const float ink = random.uniform(170.0f, 255.0f), sharpness = 1.0f / random.uniform(0.9f, 2.2f);
  const float level = random.uniform(), noise = kMaxNoise * level * level;
  for (std::size_t i = 0; i < pixels.size(); i += 4) {
    std::uint32_t bits = random.bits();
    for (std::size_t k = i; k < i + 4; ++k, bits >>= 8) {
      const float cover = std::min(std::max(0.5f - canvas[k] * sharpness, 0.0f), 1.0f);
      const float grain = noise * (static_cast<float>(bits & 255u) * (2.0f / 255.0f) - 1.0f);
      pixels[k] = static_cast<std::uint8_t>(std::min(std::max(ink * cover + grain, 0.0f), 255.0f) + 0.5f);
    }
  }
}

}  // namespace

std::int64_t draw_digit(std::uint64_t seed, std::int64_t index, std::span<std::uint8_t> pixels) {
  DLCUDA_CHECK(index >= 0, ArgumentError, "digits: the index of a picture is not negative, got {}", index);
  DLCUDA_CHECK(pixels.size() == kPixels, ArgumentError,
               "digits: a picture has {} bytes, but the buffer has {}", kPixels, pixels.size());
  RandomStream random(random_key(seed, RandomDomain::GeneratedData), static_cast<std::uint64_t>(index), 0);
  const std::int64_t label = index % 10;
  const auto& shapes = digit_shapes(static_cast<int>(label));
  const DigitShape& shape = shapes[random.below(shapes.size())];
  Canvas canvas;
  const Placement place(random);
  Pen pen(canvas, random, random.uniform(kMinPen, kMaxPen));
  for (const PenStroke& stroke : shape) draw_stroke(pen, stroke, place, random);
  if (random.chance(kStrayChance)) draw_stray(pen, random);
  develop(canvas, random, pixels);
  return label;
}

std::shared_ptr<const ImageDataset> generate_digits(std::uint64_t seed, std::int64_t first,
                                                    std::int64_t count) {
  DLCUDA_CHECK(
      first >= 0 && count >= 0 && count <= (std::int64_t{1} << 40) && first <= (std::int64_t{1} << 62),
      ArgumentError, "digits: cannot generate {} pictures from picture {}", count, first);
  std::vector<std::uint8_t> pixels(static_cast<std::size_t>(count) * kPixels),
      labels(static_cast<std::size_t>(count));
#pragma omp parallel for schedule(static) num_threads(num_threads())
  for (std::int64_t i = 0; i < count; ++i) {
    const auto at = static_cast<std::size_t>(i);
    labels[at] = static_cast<std::uint8_t>(
        draw_digit(seed, first + i, std::span(pixels).subspan(at * kPixels, kPixels)));
  }
  std::vector<std::string> names;
  for (int i = 0; i < 10; ++i) names.push_back(std::to_string(i));
  return std::make_shared<MemoryDataset>(ImageShape{1, kSide, kSide}, std::move(names), std::move(pixels),
                                         std::move(labels));
}

}  // namespace dlcuda

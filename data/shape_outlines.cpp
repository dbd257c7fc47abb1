#include "dlcuda/data/shape_outlines.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <span>

// Only + - * / and square roots, which are the same on every machine; hence the sines written out.

namespace dlcuda {
namespace {

constexpr float kDiagonal = 0.70710678f;
constexpr Point2 kSquare[] = {
    {-kDiagonal, -kDiagonal}, {kDiagonal, -kDiagonal}, {kDiagonal, kDiagonal}, {-kDiagonal, kDiagonal}};
constexpr Point2 kTriangle[] = {{0.0f, -1.0f}, {0.8660254f, 0.5f}, {-0.8660254f, 0.5f}};

// Corners at multiples of 36 degrees, every other one further in.
constexpr float kIn = 0.44f;
constexpr float kSin36 = 0.58778525f, kCos36 = 0.80901699f, kSin72 = 0.95105652f, kCos72 = 0.30901699f;
constexpr Point2 kStar[] = {{0.0f, -1.0f},      {kIn * kSin36, -kIn* kCos36},
                            {kSin72, -kCos72},  {kIn * kSin72, kIn* kCos72},
                            {kSin36, kCos36},   {0.0f, kIn},
                            {-kSin36, kCos36},  {-kIn * kSin72, kIn* kCos72},
                            {-kSin72, -kCos72}, {-kIn * kSin36, -kIn* kCos36}};

constexpr float kArm = 0.3f, kEnd = 0.95f;
constexpr Point2 kCross[] = {{-kArm, -kEnd}, {kArm, -kEnd}, {kArm, -kArm},  {kEnd, -kArm},
                             {kEnd, kArm},   {kArm, kArm},  {kArm, kEnd},   {-kArm, kEnd},
                             {-kArm, kArm},  {-kEnd, kArm}, {-kEnd, -kArm}, {-kArm, -kArm}};
constexpr Point2 kArrow[] = {{0.0f, -1.0f},   {0.8f, 0.0f},   {0.27f, 0.0f}, {0.27f, 0.95f},
                             {-0.27f, 0.95f}, {-0.27f, 0.0f}, {-0.8f, 0.0f}};

float length(Point2 p) { return std::sqrt(p.x * p.x + p.y * p.y); }

/// To the nearest edge; inside when a ray crosses the edges an odd number of times.
float distance_to_polygon(std::span<const Point2> corners, Point2 p) {
  float nearest = 1e30f;
  bool inside = false;
  for (std::size_t i = 0, j = corners.size() - 1; i < corners.size(); j = i++) {
    const Point2 a = corners[i], b = corners[j];
    const Point2 edge{b.x - a.x, b.y - a.y}, to{p.x - a.x, p.y - a.y};
    const float along = (to.x * edge.x + to.y * edge.y) / (edge.x * edge.x + edge.y * edge.y);
    const float t = std::clamp(along, 0.0f, 1.0f);
    const Point2 off{to.x - t * edge.x, to.y - t * edge.y};
    nearest = std::min(nearest, off.x * off.x + off.y * off.y);
    // The ray goes to the right; an edge holds its upper end, so that no corner counts twice.
    if ((a.y > p.y) != (b.y > p.y) && to.x < edge.x * to.y / edge.y) inside = !inside;
  }
  return inside ? -std::sqrt(nearest) : std::sqrt(nearest);
}

}  // namespace

float distance_to_shape(int kind, Point2 p) {
  switch (kind) {
    case 0:  // circle
      return length(p) - 0.85f;
    case 1:
      return distance_to_polygon(kSquare, p);
    case 2:
      return distance_to_polygon(kTriangle, p);
    case 3:
      return distance_to_polygon(kStar, p);
    case 4:  // ring: outside the inner circle
      return std::max(length(p) - 0.95f, 0.55f - length(p));
    case 5:
      return distance_to_polygon(kCross, p);
    case 6:  // crescent: outside a circle further right
      return std::max(length(p) - 0.95f, 0.75f - length({p.x - 0.5f, p.y}));
    default:
      return distance_to_polygon(kArrow, p);
  }
}

}  // namespace dlcuda

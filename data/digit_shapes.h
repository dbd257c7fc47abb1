// How people write the ten digits: pen strokes in the unit square, several ways for each digit. Internal.
#pragma once

#include <cstddef>
#include <vector>

namespace dlcuda {

/// A point that the pen passes. The path is smooth there, unless it is a corner.
struct PenPoint {
  float x;  ///< 0 left, 1 right
  float y;  ///< 0 top, 1 bottom
  bool corner = false;
};

/// The pen goes down at the first point and up after the last.
using PenStroke = std::vector<PenPoint>;

/// The most points from one corner to the next, both counted.
inline constexpr std::size_t kMostRunPoints = 16;

/// One way to write one digit.
using DigitShape = std::vector<PenStroke>;

/// The ways to write `digit` (0 to 9), the more common ones first.
const std::vector<DigitShape>& digit_shapes(int digit);

}  // namespace dlcuda

// Which pixels a placement takes from a stored picture.
#pragma once

#include <cstdint>

#include "dlcuda/core/macros.h"

namespace dlcuda::functors {

/// The part of a placement's rectangle that lies in a result of height x width pixels and comes from a stored
/// picture of from_height x from_width: no other pixel may be looked up. In 64 bits: placements are data, and
/// may hold anything.
template <typename Placement>
DLCUDA_HD Placement clipped(Placement p, std::int64_t from_height, std::int64_t from_width,
                            std::int64_t height, std::int64_t width) {
  const auto clip = [](std::int32_t& low, std::int32_t& high, std::int64_t least, std::int64_t most,
                       std::int64_t extent) {
    if (least < 0) least = 0;
    if (most > extent) most = extent;
    const std::int64_t begin = low > least ? low : least;
    const std::int64_t end = high < most ? high : most;
    if (begin >= end) {
      low = high = 0;
      return;
    }
    low = static_cast<std::int32_t>(begin);
    high = static_cast<std::int32_t>(end);
  };
  const std::int64_t row = p.row, column = p.column;
  clip(p.top, p.bottom, -row, from_height - row, height);
  if (p.mirrored != 0) {
    clip(p.left, p.right, column - from_width + 1, column + 1, width);
  } else {
    clip(p.left, p.right, -column, from_width - column, width);
  }
  return p;
}

}  // namespace dlcuda::functors

// How the pointwise convolutions cut their matrices: what they are planned and computed by.
#pragma once

#include <cstdint>

#include "dlcuda/core/macros.h"

namespace dlcuda::kernels::cpu {

/// A tile register has 16 rows of 16 words; a word is one f32, or two neighbours of bf16.
inline constexpr std::int64_t kTileSide = 16, kTileDepth = 2 * kTileSide;
/// Sums are computed in blocks of 2 x 2 tiles.
inline constexpr std::int64_t kBlockSide = 2 * kTileSide;
/// bf16 in a tile, and sums in a block.
inline constexpr std::int64_t kTileElements = kTileSide * kTileDepth;
inline constexpr std::int64_t kBlockElements = kBlockSide * kBlockSide;

DLCUDA_INLINE constexpr std::int64_t ceil_div(std::int64_t value, std::int64_t by) {
  return (value + by - 1) / by;
}

/// A product's depth in equal steps of at most kTileDepth, an even number each. Zero where none is worth it.
struct DepthSteps {
  std::int64_t count = 0, depth = 0;

  DLCUDA_INLINE constexpr explicit DepthSteps(std::int64_t whole) {
    constexpr std::int64_t kLeastPairs = 8;
    const std::int64_t pairs = whole / 2;
    if (whole % 2 != 0 || pairs < 1) return;
    std::int64_t steps = ceil_div(pairs, kTileSide);
    while (pairs % steps != 0) ++steps;
    if (steps > 1 && pairs / steps < kLeastPairs) return;
    count = steps;
    depth = whole / steps;
  }
};

/// How the weight's gradient is cut: the side of fewer channels goes down a block (left), the other across
/// (right), in panels; pixels are added up in parts. The shape alone decides, so that the number of threads
/// changes no bit.
struct WeightCut {
  std::int64_t left, right, panel, panels, parts, pixels;

  DLCUDA_INLINE constexpr WeightCut(std::int64_t pixels_, std::int64_t inputs, std::int64_t outputs)
      : left(inputs < outputs ? inputs : outputs),
        right(inputs < outputs ? outputs : inputs),
        panel(0),
        panels(0),
        parts(1),
        pixels(pixels_) {
    constexpr std::int64_t kWidest = 256, kLeastPixels = 1024, kMostParts = 16, kMostSums = 1 << 20;
    panel = ceil_div(ceil_div(right, ceil_div(right, kWidest)), kBlockSide) * kBlockSide;
    panels = ceil_div(right, panel);
    while (parts < kMostParts && (parts + 1) * kLeastPixels <= pixels &&
           (parts + 1) * left * right <= kMostSums) {
      ++parts;
    }
  }

  DLCUDA_INLINE constexpr std::int64_t tasks() const { return parts * panels; }
  DLCUDA_INLINE constexpr std::int64_t left_blocks() const { return ceil_div(left, kBlockSide); }
  DLCUDA_INLINE constexpr std::int64_t panel_blocks() const { return panel / kBlockSide; }
  /// Sums of a task, and bf16 that it packs at a time: kPixelsAtOnce pixels of both sides.
  static constexpr std::int64_t kPixelsAtOnce = 256;
  DLCUDA_INLINE constexpr std::int64_t task_sums() const {
    return left_blocks() * panel_blocks() * kBlockElements;
  }
  DLCUDA_INLINE constexpr std::int64_t packed_left() const {
    return left_blocks() * kBlockSide * kPixelsAtOnce;
  }
  DLCUDA_INLINE constexpr std::int64_t packed() const { return packed_left() + panel * kPixelsAtOnce; }
};

}  // namespace dlcuda::kernels::cpu

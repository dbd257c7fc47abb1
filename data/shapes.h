// Coloured geometric shapes on textured noise, drawn by this library, so that models for pictures in colour
// can be trained without a download: one shape a picture to classify, several to detect or to segment.
//
// Shapes are turned, sized, placed and coloured at random, and so is the texture behind them: neither colour
// nor brightness nor any single place tells the class, so a linear model cannot read the set; a small
// convolutional network can. Shapes lie inside the picture and do not touch each other.
#pragma once

#include <array>
#include <cstdint>
#include <memory>

#include "dlcuda/core/macros.h"
#include "dlcuda/data/dataset.h"
#include "dlcuda/data/transforms.h"

namespace dlcuda DLCUDA_API {

inline constexpr std::array<const char*, 8> kShapeNames = {"circle", "square", "triangle", "star",
                                                           "ring",   "cross",  "crescent", "arrow"};
/// Mean and deviation of their pixels, in every channel.
inline Normalization shapes_normalization() { return {{0.5f}, {0.222f}}; }
inline constexpr std::int64_t kMostShapes = 5;  ///< in one picture
inline constexpr std::int64_t kLeastShapesSide = 16, kMostShapesSide = 4096;

struct ShapesConfig {
  /// Class: one shape, large, of class index modulo 8. Boxes and Mask: the same pictures of one to five
  /// smaller shapes. A box is the smallest around the pixels of a mask, and a mask's class 0 is the
  /// background: shape i is class i + 1 there.
  TargetKind target = TargetKind::Class;
  std::int64_t side = 64;  ///< of the square picture, in pixels
  std::uint64_t seed = 1;  ///< names the set
  std::int64_t first = 0;  ///< pictures [first, first + count) of the set
  std::int64_t count = 0;
};

/// Pictures (3, side, side), each drawn when it is read: the same bytes for the same seed, side and index, in
/// every thread and on every machine. Throws ArgumentError for a side or range that is not possible.
std::shared_ptr<const ImageDataset> generated_shapes(const ShapesConfig& config);

}  // namespace DLCUDA_API

// What the cost table measures: models whose batch, picture or depth grows while all else stays.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "dlcuda/models/zoo.h"

namespace dlcuda::cost {

/// What grows. Depth: blocks a stage of a residual network, convolutions a stage of a VGG, times that a U-Net
/// halves its picture, each with the other sizes as they are. Width: channels.
enum class Axis : std::uint8_t { BatchSize, Side, Depth, Width };
std::string to_string(Axis axis);

/// One size of a sweep.
struct Point {
  std::int64_t at = 0;  ///< along the axis
  ZooModel model;
  std::int64_t batch_size = 1, side = 0;  ///< pictures of side x side

  ImageShape input() const { return {model.input.channels, side, side}; }
};

struct Sweep {
  std::string model;
  Axis axis = Axis::BatchSize;
  std::vector<Point> points;  ///< growing
};

/// Of steps: batch size and side of models of the zoo, depth of their families.
std::vector<Sweep> step_sweeps();
/// Of what happens before the first step: layers without more of anything else, and weights without more
/// layers.
std::vector<Sweep> startup_sweeps();

}  // namespace dlcuda::cost

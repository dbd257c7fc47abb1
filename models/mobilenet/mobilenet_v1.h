// Howard et al.: "MobileNets: Efficient Convolutional Neural Networks for Mobile Vision Applications", 2017.
//
// MobileNetV1: a depthwise 3x3 convolution, which sees each channel by itself, and a 1x1 one, which mixes
// them, take the place of an ordinary convolution. 4,231,976 parameters at width 1.
#pragma once

#include <cstdint>
#include <vector>

#include "dlcuda/core/macros.h"
#include "dlcuda/layers/blocks.h"
#include "dlcuda/models/zoo.h"

namespace dlcuda DLCUDA_API {

struct MobileNetV1Config {
  double width = 1;        ///< multiplies the channels, to multiples of 8
  double dropout = 0.001;  ///< before the classifier
  /// For small images: a first convolution without stride.
  bool small_input = false;
  std::int64_t in_channels = 3;
  std::int64_t classes = 1000;
};

/// Images (N, in_channels, H, W) -> logits (N, classes); any H and W, though training needs more than one
/// value per channel in the last map, which is H / 32 by W / 32 (small_input: H / 16 by W / 16).
class MobileNetV1 : public Module {
 public:
  explicit MobileNetV1(const MobileNetV1Config& config = {});
  Tensor forward(const Tensor& x) override;
  std::string describe() const override { return "MobileNetV1"; }

 private:
  MobileNetV1Config config_;
  Sequential features_;
  AdaptiveAvgPool2d average_;
  Sequential classifier_;
};

std::vector<ZooModel> mobilenet_v1_models();

}  // namespace dlcuda

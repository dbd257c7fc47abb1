// Sandler, Howard, Zhu, Zhmoginov, Chen: "MobileNetV2: Inverted Residuals and Linear Bottlenecks", 2018.
//
// With the names of torchvision's weights. 3,504,872 parameters at width 1.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "dlcuda/core/macros.h"
#include "dlcuda/layers/blocks.h"
#include "dlcuda/models/zoo.h"

namespace dlcuda DLCUDA_API {

struct MobileNetV2Config {
  double width = 1;  ///< multiplies the channels, to multiples of 8; those of the last layer from 1 on
  double dropout = 0.2;
  /// For small images: the first convolution and the first stage that strides do not.
  bool small_input = false;
  /// Blocks with a shortcut begin as that alone, which lets fresh networks learn sooner.
  bool zero_init_residual = false;
  std::int64_t in_channels = 3;
  std::int64_t classes = 1000;

  /// With a quarter of the channels, for small pictures: train_mobilenetv2's.
  static MobileNetV2Config small() {
    return {.width = 0.25, .dropout = 0, .small_input = true, .zero_init_residual = true};
  }
};

/// 1x1 to `expansion` times the channels, depthwise 3x3, 1x1 without activation; beside it x itself where the
/// shape stays.
class InvertedResidual : public Module {
 public:
  struct Options {
    std::int64_t in_channels, out_channels, stride;
    std::int64_t expansion;  ///< 1: there is no first convolution
    bool zero_init = false;  ///< of a block that keeps its shape
    bool keeps_shape() const { return stride == 1 && in_channels == out_channels; }
  };
  explicit InvertedResidual(const Options& options);
  Tensor forward(const Tensor& x) override;  ///< (N, C, H, W) -> (N, out_channels, H / stride, W / stride)
  std::string describe() const override;

 private:
  Options options_;
  std::optional<ConvBnAct> expand_, depthwise_, project_;
};

/// Images (N, in_channels, H, W) -> logits (N, classes); any H and W, though training needs more than one
/// value per channel in the last map, which is H / 32 by W / 32 (small_input: H / 8 by W / 8).
class MobileNetV2 : public Module {
 public:
  explicit MobileNetV2(const MobileNetV2Config& config = {});
  Tensor forward(const Tensor& x) override;
  std::string describe() const override { return "MobileNetV2"; }

 private:
  MobileNetV2Config config_;
  Sequential features_;
  AdaptiveAvgPool2d average_;
  Sequential classifier_;
};

std::vector<ZooModel> mobilenet_v2_models();

}  // namespace dlcuda

// He, Zhang, Ren, Sun: "Deep Residual Learning for Image Recognition", 2016.
//
// ResNet-18/34/50/101/152 with the names of torchvision's weights: "v1.5", whose bottlenecks stride in their
// 3x3 convolution. In cifar.h: the networks of the paper's section 4.2; in course_resnet.h: those taught with
// "identity" and "convolutional" blocks.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "dlcuda/core/macros.h"
#include "dlcuda/layers/blocks.h"
#include "dlcuda/models/zoo.h"

namespace dlcuda DLCUDA_API {

struct ResNetConfig {
  bool bottleneck = false;                         ///< three convolutions a block instead of two
  std::array<std::int64_t, 4> depths{2, 2, 2, 2};  ///< blocks in each stage
  std::int64_t width = 64;                         ///< channels of the first stage's 3x3 convolutions
  std::int64_t in_channels = 3;
  std::int64_t classes = 1000;
  /// For small pictures: a 3x3 stem without stride and pooling, so that 32x32 reaches the stages whole.
  bool small_input = false;

  static ResNetConfig resnet18() { return {}; }
  static ResNetConfig resnet34() { return {.depths = {3, 4, 6, 3}}; }
  static ResNetConfig resnet50() { return {.bottleneck = true, .depths = {3, 4, 6, 3}}; }
  static ResNetConfig resnet101() { return {.bottleneck = true, .depths = {3, 4, 23, 3}}; }
  static ResNetConfig resnet152() { return {.bottleneck = true, .depths = {3, 8, 36, 3}}; }
  /// ResNet-18 of an eighth of the channels, for small pictures: train_resnet's.
  static ResNetConfig small() { return {.width = 8, .small_input = true}; }
};

/// relu(F(x) + shortcut(x)), F of two 3x3 convolutions, or of 1x1, 3x3 and 1x1 (bottleneck: 4 * width
/// channels leave it). The shortcut is x itself, or a 1x1 convolution where the shape changes.
class ResidualBlock : public Module {
 public:
  struct Options {
    std::int64_t in_channels, width, stride;
    bool bottleneck;
    std::int64_t out_channels() const { return bottleneck ? 4 * width : width; }
  };
  explicit ResidualBlock(const Options& options);
  Tensor forward(const Tensor& x) override;
  std::string describe() const override;

 private:
  Options options_;
  ConvBnAct first_, second_;
  std::optional<ConvBnAct> third_, shortcut_;
};

/// Images (N, in_channels, H, W) -> logits (N, classes); any H and W, though training needs more
/// than one value per channel in the last stage, whose map is H / 32 by W / 32 (small_input: H / 8 by W / 8).
class ResNet : public Module {
 public:
  explicit ResNet(const ResNetConfig& config = {});
  Tensor forward(const Tensor& x) override;
  std::string describe() const override;

 private:
  ResNetConfig config_;
  ConvBnAct stem_;
  MaxPool2d pool_;
  std::array<Sequential, 4> stages_;
  AdaptiveAvgPool2d average_;
  Linear fc_;
};

std::vector<ZooModel> resnet_models();

}  // namespace dlcuda

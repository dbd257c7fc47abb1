// He, Zhang, Ren, Sun: "Deep Residual Learning for Image Recognition", 2016, section 4.2.
//
// The networks for CIFAR-10: 6 n + 2 layers in three stages of n blocks. Where the shape changes the shortcut
// takes every second pixel and zeros for the new channels (option A), so it has no parameters: 269,722 in
// ResNet-20 and 853,018 in ResNet-56.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "dlcuda/core/macros.h"
#include "dlcuda/layers/blocks.h"
#include "dlcuda/models/zoo.h"

namespace dlcuda DLCUDA_API {

struct CifarResNetConfig {
  std::int64_t blocks = 3;  ///< in each stage
  std::int64_t width = 16;  ///< channels of the first stage; the others have twice and four times as many
  std::int64_t in_channels = 3;
  std::int64_t classes = 10;

  static CifarResNetConfig resnet20() { return {.blocks = 3}; }
  static CifarResNetConfig resnet56() { return {.blocks = 9}; }
};

/// relu(F(x) + x), F of two 3x3 convolutions.
class CifarBlock : public Module {
 public:
  CifarBlock(std::int64_t in_channels, std::int64_t out_channels, std::int64_t stride);
  Tensor forward(const Tensor& x) override;  ///< (N, C, H, W) -> (N, out_channels, H / stride, W / stride)
  std::string describe() const override;

 private:
  std::int64_t in_channels_, out_channels_, stride_;
  ConvBnAct first_, second_;
};

/// Images (N, in_channels, H, W) -> logits (N, classes); any H and W, though training needs more than one
/// value per channel in the last stage, whose map is H / 4 by W / 4.
class CifarResNet : public Module {
 public:
  explicit CifarResNet(const CifarResNetConfig& config = {});
  Tensor forward(const Tensor& x) override;
  std::string describe() const override;

 private:
  CifarResNetConfig config_;
  ConvBnAct stem_;
  std::array<Sequential, 3> stages_;
  AdaptiveAvgPool2d average_;
  Linear fc_;
};

std::vector<ZooModel> cifar_resnet_models();

}  // namespace dlcuda

// Simonyan, Zisserman: "Very Deep Convolutional Networks for Large-Scale Image Recognition", 2015.
//
// VGG-11, 13, 16 and 19 (the paper's A, B, D and E), with and without batch normalisation, with the names of
// torchvision's weights.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "dlcuda/core/macros.h"
#include "dlcuda/layers/layers.h"
#include "dlcuda/models/zoo.h"

namespace dlcuda DLCUDA_API {

struct VggConfig {
  std::array<std::int64_t, 5> depths{2, 2, 3, 3, 3};  ///< convolutions in each stage
  bool batch_norm = false;
  std::int64_t width = 64;     ///< channels of the first stage; they double up to 8 times that
  std::int64_t pooled = 7;     ///< side of the map that the classifier sees
  std::int64_t hidden = 4096;  ///< width of the two hidden linear layers
  double dropout = 0.5;
  std::int64_t in_channels = 3;
  std::int64_t classes = 1000;

  static VggConfig vgg11(bool batch_norm = false) {
    return {.depths = {1, 1, 2, 2, 2}, .batch_norm = batch_norm};
  }
  static VggConfig vgg13(bool batch_norm = false) {
    return {.depths = {2, 2, 2, 2, 2}, .batch_norm = batch_norm};
  }
  static VggConfig vgg16(bool batch_norm = false) {
    return {.depths = {2, 2, 3, 3, 3}, .batch_norm = batch_norm};
  }
  static VggConfig vgg19(bool batch_norm = false) {
    return {.depths = {2, 2, 4, 4, 4}, .batch_norm = batch_norm};
  }
  /// The same with a narrow classifier, for images of 32 x 32 to 64 x 64.
  VggConfig for_small_images() const;
  /// VGG-16 with batch norm and an eighth of the channels, for such images: train_vgg16's.
  static VggConfig small();
};

/// Images (N, in_channels, H, W) -> logits (N, classes); H and W from 32 on.
class Vgg : public Module {
 public:
  explicit Vgg(const VggConfig& config = {});
  Tensor forward(const Tensor& x) override;
  std::string describe() const override;

 private:
  VggConfig config_;
  Sequential features_;
  AdaptiveAvgPool2d average_;
  Sequential classifier_;
};

std::vector<ZooModel> vgg_models();

}  // namespace dlcuda

// Krizhevsky, Sutskever, Hinton: "ImageNet Classification with Deep Convolutional Neural Networks", 2012.
//
// Two forms: the single tower of Krizhevsky's "One weird trick for parallelizing convolutional neural
// networks" (2014), with the names of torchvision's weights, 61,100,840 parameters; and that of the paper,
// whose second, fourth and fifth convolutions see half of the channels each and whose first two are followed
// by local response normalisation, 60,965,224 parameters.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "dlcuda/core/macros.h"
#include "dlcuda/layers/layers.h"
#include "dlcuda/models/zoo.h"

namespace dlcuda DLCUDA_API {

struct AlexNetConfig {
  std::array<std::int64_t, 5> widths{64, 192, 384, 256, 256};  ///< channels of the convolutions
  std::int64_t groups = 1;           ///< of the second, fourth and fifth convolution
  bool local_response_norm = false;  ///< behind the first two; the weights keep their names
  std::int64_t hidden = 4096;        ///< width of the two hidden linear layers
  double dropout = 0.5;
  /// N(0, 0.01^2), and biases of 1 where the paper has them: in the grouped convolutions and the hidden
  /// linear layers. Otherwise as torchvision.
  bool initial_weights_of_paper = false;
  std::int64_t in_channels = 3;
  std::int64_t classes = 1000;

  static AlexNetConfig one_tower() { return {}; }
  static AlexNetConfig paper() {
    return {.widths = {96, 256, 384, 384, 256},
            .groups = 2,
            .local_response_norm = true,
            .initial_weights_of_paper = true};
  }
};

/// Images (N, in_channels, H, W) -> logits (N, classes); H and W from 63 on.
class AlexNet : public Module {
 public:
  explicit AlexNet(const AlexNetConfig& config = {});
  Tensor forward(const Tensor& x) override;
  std::string describe() const override { return "AlexNet"; }

 private:
  AlexNetConfig config_;
  Sequential features_;
  AdaptiveAvgPool2d average_;
  Sequential classifier_;
};

std::vector<ZooModel> alexnet_models();

}  // namespace dlcuda

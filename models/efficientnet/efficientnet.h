// Tan, Le: "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks", 2019.
//
// B0, and B1 to B7, which compound scaling makes wider and deeper, for larger images. With the names of
// torchvision's weights. B0 has 5,288,548 parameters.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "dlcuda/core/macros.h"
#include "dlcuda/layers/blocks.h"
#include "dlcuda/models/zoo.h"

namespace dlcuda DLCUDA_API {

struct EfficientNetConfig {
  double width = 1;  ///< multiplies the channels, to multiples of 8
  double depth = 1;  ///< multiplies the blocks of each stage, rounded up
  double dropout = 0.2;
  /// Probability that the branch of the last block is dropped for a sample in training; it grows from 0 in
  /// the first one.
  double stochastic_depth = 0.2;
  double epsilon = 1e-5, momentum = 0.1;  ///< of the batch norms
  /// For small images: a first convolution without stride.
  bool small_input = false;
  std::int64_t in_channels = 3;
  std::int64_t classes = 1000;

  /// B0 to B7. Throws ArgumentError for other numbers.
  static EfficientNetConfig b(int number);
};

/// Mobile inverted bottleneck: 1x1 to `expansion` times the channels, depthwise, squeeze and excitation, 1x1
/// without activation; beside it x itself where the shape stays.
class MbConv : public Module {
 public:
  struct Options {
    std::int64_t in_channels, out_channels, kernel, stride;
    std::int64_t expansion;   ///< 1: there is no first convolution
    double stochastic_depth;  ///< probability of dropping the branch
    double epsilon, momentum;
    bool keeps_shape() const { return stride == 1 && in_channels == out_channels; }
  };
  explicit MbConv(const Options& options);
  Tensor forward(const Tensor& x) override;  ///< (N, C, H, W) -> (N, out_channels, H / stride, W / stride)
  std::string describe() const override;

 private:
  Options options_;
  std::optional<ConvBnAct> expand_, depthwise_, project_;
  std::optional<SqueezeExcitation> excite_;
  StochasticDepth drop_;
};

/// Images (N, in_channels, H, W) -> logits (N, classes); any H and W, though training needs more than one
/// value per channel in the last map, which is H / 32 by W / 32 (small_input: H / 16 by W / 16).
class EfficientNet : public Module {
 public:
  explicit EfficientNet(const EfficientNetConfig& config = {});
  Tensor forward(const Tensor& x) override;
  std::string describe() const override { return "EfficientNet"; }

 private:
  EfficientNetConfig config_;
  Sequential features_;
  AdaptiveAvgPool2d average_;
  Sequential classifier_;
};

std::vector<ZooModel> efficientnet_models();

}  // namespace dlcuda

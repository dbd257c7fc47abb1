// Szegedy et al.: "Going Deeper with Convolutions", 2015.
//
// GoogLeNet (Inception v1) with batch normalisation and the names of torchvision's weights. As there, the
// branch that the paper gives 5x5 convolutions has 3x3 ones. 6,624,904 parameters without the auxiliary
// classifiers, 13,004,888 with them.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "dlcuda/core/macros.h"
#include "dlcuda/layers/blocks.h"
#include "dlcuda/models/zoo.h"

namespace dlcuda DLCUDA_API {

struct GoogLeNetConfig {
  /// Whether there are the two classifiers that training hangs between the inception blocks.
  bool auxiliary = false;
  double dropout = 0.2;
  double auxiliary_dropout = 0.7;
  double width = 1;  ///< multiplies the channels, to multiples of 8
  std::int64_t in_channels = 3;
  std::int64_t classes = 1000;
};

/// Four branches, one behind another along the channels: 1x1; 1x1, 3x3; 1x1, 3x3; pooling, 1x1.
class Inception : public Module {
 public:
  struct Options {
    std::int64_t in_channels;
    std::int64_t one;                   ///< channels of the first branch
    std::int64_t three_reduced, three;  ///< of the second: before and after its 3x3
    std::int64_t five_reduced, five;    ///< of the third
    std::int64_t pooled;                ///< of the fourth
    std::int64_t out_channels() const { return one + three + five + pooled; }
  };
  explicit Inception(const Options& options);
  Tensor forward(const Tensor& x) override;  ///< (N, in_channels, H, W) -> (N, out_channels(), H, W)
  std::string describe() const override;
  std::int64_t out_channels() const { return options_.out_channels(); }

 private:
  Options options_;
  ConvBnAct one_;
  Sequential three_, five_, pooled_;
};

/// (N, in_channels, H, W) -> logits (N, classes), from the middle of the network.
class AuxiliaryClassifier : public Module {
 public:
  AuxiliaryClassifier(std::int64_t in_channels, const GoogLeNetConfig& config);
  Tensor forward(const Tensor& x) override;
  std::string describe() const override { return "AuxiliaryClassifier"; }

 private:
  AdaptiveAvgPool2d average_;
  ConvBnAct conv_;
  Linear fc1_, fc2_;
  Dropout dropout_;
};

/// Images (N, in_channels, H, W) -> logits (N, classes); H and W from 15 on.
class GoogLeNet : public Module {
 public:
  struct Output {
    Tensor logits;
    /// Of the classifiers behind the blocks 4a and 4d; undefined outside of training, and without them.
    Tensor auxiliary1, auxiliary2;
  };
  /// What the paper multiplies the losses of the auxiliary classifiers by, before they are added.
  static constexpr double kAuxiliaryWeight = 0.3;

  explicit GoogLeNet(const GoogLeNetConfig& config = {});
  /// The auxiliary classifiers have no part in it.
  Tensor forward(const Tensor& x) override;
  /// The call operator of a training step: all that a loss is made of.
  Output with_auxiliary(const Tensor& x);
  /// cross-entropy + kAuxiliaryWeight * (that of both auxiliary classifiers, where there are any).
  Tensor loss(const Tensor& x, const Tensor& labels);
  std::string describe() const override { return "GoogLeNet"; }

 private:
  Output run(const Tensor& x, bool auxiliary);

  GoogLeNetConfig config_;
  std::int64_t stem_width_;
  ConvBnAct conv1_, conv2_, conv3_;
  MaxPool2d pool1_, pool2_, pool3_, pool4_;
  std::vector<std::unique_ptr<Inception>> blocks_;
  std::optional<AuxiliaryClassifier> auxiliary1_, auxiliary2_;
  AdaptiveAvgPool2d average_;
  Dropout dropout_;
  std::optional<Linear> fc_;
};

std::vector<ZooModel> googlenet_models();

}  // namespace dlcuda

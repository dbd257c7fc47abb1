// He, Zhang, Ren, Sun: "Deep Residual Learning for Image Recognition", 2016.
//
// ResNet-50 as courses build it in Keras, of "identity" and "convolutional" blocks: strides in the first 1x1
// convolution, convolutions with biases, and the layers' names of the Keras model ("res2a_branch2a",
// "bn2a_branch2a"). With 6 classes 23,600,006 values, 53,120 of them running statistics.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "dlcuda/core/macros.h"
#include "dlcuda/layers/blocks.h"
#include "dlcuda/models/zoo.h"

namespace dlcuda DLCUDA_API {

struct CourseResNetConfig {
  std::int64_t width = 64;  ///< channels of the first stage's 3x3 convolutions
  std::int64_t in_channels = 3;
  std::int64_t classes = 6;
};

/// relu(F(x) + x), F of 1x1, 3x3 and 1x1 convolutions that keep the shape.
class IdentityBlock : public Module {
 public:
  /// place: "2b", the second block of the second stage. x has 4 * width channels.
  IdentityBlock(const std::string& place, std::int64_t width);
  Tensor forward(const Tensor& x) override;
  std::string describe() const override;

 private:
  ConvBnAct first_, second_, third_;
};

/// relu(F(x) + G(x)): F as above, from any number of channels to 4 * width, its first convolution with a
/// stride; G a 1x1 convolution with that stride.
class ConvolutionalBlock : public Module {
 public:
  ConvolutionalBlock(const std::string& place, std::int64_t in_channels, std::int64_t width,
                     std::int64_t stride);
  Tensor forward(const Tensor& x) override;
  std::string describe() const override;

 private:
  ConvBnAct first_, second_, third_, shortcut_;
};

/// Images (N, in_channels, H, W) -> logits (N, classes); H and W from 5 on, though training needs more than
/// one value per channel in the last stage. 64 x 64 in the courses.
class CourseResNet : public Module {
 public:
  explicit CourseResNet(const CourseResNetConfig& config = {});
  Tensor forward(const Tensor& x) override;
  std::string describe() const override { return "ResNet-50 of identity and convolutional blocks"; }

 private:
  CourseResNetConfig config_;
  ConvBnAct stem_;
  MaxPool2d pool_;
  std::vector<std::unique_ptr<Module>> blocks_;
  AdaptiveAvgPool2d average_;
  Linear fc_;
};

std::vector<ZooModel> course_resnet_models();

}  // namespace dlcuda

#include "dlcuda/models/resnet/course_resnet.h"

#include <fmt/format.h>

#include "dlcuda/models/configured.h"
#include "dlcuda/models/images.h"

namespace dlcuda {
namespace {

constexpr functional::ActivationParams kRelu{.kind = functional::Activation::Relu};
constexpr functional::ActivationParams kNone{.kind = functional::Activation::Identity};
constexpr std::int64_t kLeast = 5;

/// Keras' defaults: its momentum of 0.99 is the old value's share.
ConvBnActOptions keras_pair(Conv2dOptions conv, const functional::ActivationParams& activation,
                            const std::string& conv_name, const std::string& norm_name) {
  conv.bias = true;
  conv.scheme = init::Scheme::XavierUniform;
  return {.conv = conv,
          .activation = activation,
          .epsilon = 1e-3,
          .momentum = 0.01,
          .conv_name = conv_name,
          .norm_name = norm_name};
}

ConvBnActOptions branch(const std::string& place, const char* name, const Conv2dOptions& conv,
                        const functional::ActivationParams& activation = kRelu) {
  return keras_pair(conv, activation, fmt::format("res{}_branch{}", place, name),
                    fmt::format("bn{}_branch{}", place, name));
}

}  // namespace

IdentityBlock::IdentityBlock(const std::string& place, std::int64_t width)
    : first_(branch(place, "2a", same_conv(4 * width, width, 1))),
      second_(branch(place, "2b", same_conv(width, width, 3))),
      third_(branch(place, "2c", same_conv(width, 4 * width, 1))) {
  register_inline(&first_);
  register_inline(&second_);
  register_inline(&third_);
}

Tensor IdentityBlock::forward(const Tensor& x) { return third_(second_.pending(first_.pending(x)), x); }
std::string IdentityBlock::describe() const { return "IdentityBlock"; }

ConvolutionalBlock::ConvolutionalBlock(const std::string& place, std::int64_t in_channels, std::int64_t width,
                                       std::int64_t stride)
    : first_(branch(place, "2a", same_conv(in_channels, width, 1, stride))),
      second_(branch(place, "2b", same_conv(width, width, 3))),
      third_(branch(place, "2c", same_conv(width, 4 * width, 1))),
      shortcut_(branch(place, "1", same_conv(in_channels, 4 * width, 1, stride), kNone)) {
  for (ConvBnAct* pair : {&first_, &second_, &third_, &shortcut_}) register_inline(pair);
}

Tensor ConvolutionalBlock::forward(const Tensor& x) {
  return third_(second_.pending(first_.pending(x)), shortcut_(x));
}
std::string ConvolutionalBlock::describe() const { return "ConvolutionalBlock"; }

CourseResNet::CourseResNet(const CourseResNetConfig& config)
    : config_(config),
      stem_(keras_pair(same_conv(config.in_channels, config.width, 7, 2), kRelu, "conv1", "bn_conv1")),
      pool_({.kernel = {3, 3}, .stride = {2, 2}}),
      fc_({.in_features = 32 * config.width,
           .out_features = config.classes,
           .scheme = init::Scheme::XavierUniform}) {
  register_inline(&stem_);
  register_inline(&pool_);
  std::int64_t channels = config.width;
  for (int stage = 2; const int depth : {3, 4, 6, 3}) {
    const std::int64_t width = config.width << (stage - 2);
    for (int block = 0; block < depth; ++block) {
      const std::string place = fmt::format("{}{}", stage, char('a' + block));
      if (block == 0) {
        blocks_.push_back(std::make_unique<ConvolutionalBlock>(place, channels, width, stage == 2 ? 1 : 2));
      } else {
        blocks_.push_back(std::make_unique<IdentityBlock>(place, width));
      }
      register_inline(blocks_.back().get());
      channels = 4 * width;
    }
    ++stage;
  }
  register_inline(&average_);
  register_module("fc", &fc_);
}

Tensor CourseResNet::forward(const Tensor& x) {  // (N, 3, 64, 64)
  check_images(*this, x, config_.in_channels, kLeast);
  Tensor y = pool_(stem_(x));                         // (N, 64, 32, 32) -> (N, 64, 15, 15)
  for (const auto& block : blocks_) y = (*block)(y);  // (N, 256, 15, 15) ... (N, 2048, 2, 2)
  return fc_(functional::flatten(average_(y)));       // (N, 2048) -> (N, classes)
}

std::vector<ZooModel> course_resnet_models() {
  return {{.name = "resnet50_course",
           .paper = "He et al., 2016",
           .input = {3, 64, 64},
           .classes = 6,
           .normalization = {{0, 0, 0}, {1, 1, 1}},  // divided by 255, and that is all
           .parameters = 23'600'006 - 53'120,
           .make = configured<CourseResNet>(CourseResNetConfig{})}};
}

}  // namespace dlcuda

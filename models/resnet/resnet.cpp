#include "dlcuda/models/resnet/resnet.h"

#include <fmt/format.h>

#include "dlcuda/models/configured.h"
#include "dlcuda/models/images.h"
#include "dlcuda/models/resnet/pairs.h"

namespace dlcuda {
namespace {

using functional::Activation;

constexpr functional::ActivationParams kNone{.kind = Activation::Identity};

Conv2dOptions stem_conv(const ResNetConfig& config) {
  return config.small_input ? same_conv(config.in_channels, config.width, 3)
                            : same_conv(config.in_channels, config.width, 7, 2);
}

}  // namespace

ResidualBlock::ResidualBlock(const Options& o)
    : options_(o),
      first_(numbered_pair(1, o.bottleneck ? same_conv(o.in_channels, o.width, 1)
                                           : same_conv(o.in_channels, o.width, 3, o.stride))),
      second_(numbered_pair(2, same_conv(o.width, o.width, 3, o.bottleneck ? o.stride : 1))) {
  register_inline(&first_);
  register_inline(&second_);
  if (o.bottleneck) {
    third_.emplace(numbered_pair(3, same_conv(o.width, o.out_channels(), 1)));
    register_inline(&*third_);
  }
  if (o.stride != 1 || o.in_channels != o.out_channels()) {
    shortcut_.emplace(ConvBnActOptions{.conv = same_conv(o.in_channels, o.out_channels(), 1, o.stride),
                                       .activation = kNone});
    register_module("downsample", &*shortcut_);
  }
}

Tensor ResidualBlock::forward(const Tensor& x) {
  const Tensor residual = shortcut_ ? (*shortcut_)(x) : x;
  // The last of them adds the residual before its activation.
  const Pending y = first_.pending(x);
  return third_ ? (*third_)(second_.pending(y), residual) : second_(y, residual);
}

std::string ResidualBlock::describe() const {
  return fmt::format("{}({}, {}, stride {})", options_.bottleneck ? "Bottleneck" : "BasicBlock",
                     options_.in_channels, options_.out_channels(), options_.stride);
}

ResNet::ResNet(const ResNetConfig& config)
    : config_(config),
      stem_(numbered_pair(1, stem_conv(config))),
      pool_({.kernel = {3, 3}, .stride = {2, 2}, .padding = {1, 1}}),
      fc_({.in_features = (config.bottleneck ? 32 : 8) * config.width, .out_features = config.classes}) {
  register_inline(&stem_);
  if (!config.small_input) register_inline(&pool_);
  std::int64_t channels = config.width;
  for (std::size_t stage = 0; stage < stages_.size(); ++stage) {
    for (std::int64_t block = 0; block < config.depths[stage]; ++block) {
      const ResidualBlock::Options options{.in_channels = channels,
                                           .width = config.width << stage,
                                           .stride = stage > 0 && block == 0 ? 2 : 1,
                                           .bottleneck = config.bottleneck};
      stages_[stage].add<ResidualBlock>(options);
      channels = options.out_channels();
    }
    register_module(fmt::format("layer{}", stage + 1), &stages_[stage]);
  }
  register_inline(&average_);
  register_module("fc", &fc_);
}

Tensor ResNet::forward(const Tensor& x) {  // (N, 3, 224, 224)
  check_images(*this, x, config_.in_channels, 1);
  Tensor y = stem_(x);                             // (N, 64, 112, 112)
  if (!config_.small_input) y = pool_(y);          // (N, 64, 56, 56)
  for (Sequential& stage : stages_) y = stage(y);  // (N, 64, 56, 56) ... (N, 512 or 2048, 7, 7)
  return fc_(functional::flatten(average_(y)));    // (N, 512 or 2048) -> (N, classes)
}

std::string ResNet::describe() const {
  std::int64_t layers = 2;
  for (const std::int64_t depth : config_.depths) layers += depth * (config_.bottleneck ? 3 : 2);
  return fmt::format("ResNet-{}", layers);
}

std::vector<ZooModel> resnet_models() {
  struct Row {
    const char* name;
    ResNetConfig config;
    std::int64_t parameters;
    double multiply_adds;
  };
  std::vector<ZooModel> models;
  for (const Row& row : {Row{"resnet18", ResNetConfig::resnet18(), 11'689'512, 1.814e9},
                         Row{"resnet34", ResNetConfig::resnet34(), 21'797'672, 3.664e9},
                         Row{"resnet50", ResNetConfig::resnet50(), 25'557'032, 4.089e9},
                         Row{"resnet101", ResNetConfig::resnet101(), 44'549'160, 7.801e9},
                         Row{"resnet152", ResNetConfig::resnet152(), 60'192'808, 11.514e9}}) {
    models.push_back({.name = row.name,
                      .paper = "He et al., 2016",
                      .parameters = row.parameters,
                      .multiply_adds = row.multiply_adds,
                      .make = configured<ResNet>(row.config)});
  }
  models.push_back(small_shapes_model("resnet18_small", models.front().paper, 176'272,
                                      configured<ResNet>(ResNetConfig::small())));
  return models;
}

}  // namespace dlcuda

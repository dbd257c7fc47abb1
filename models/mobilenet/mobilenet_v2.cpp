#include "dlcuda/models/mobilenet/mobilenet_v2.h"

#include <fmt/format.h>

#include <algorithm>

#include "dlcuda/models/configured.h"
#include "dlcuda/models/images.h"

namespace dlcuda {
namespace {

constexpr functional::ActivationParams kRelu6{.kind = functional::Activation::Relu6};

}  // namespace

InvertedResidual::InvertedResidual(const Options& o) : options_(o) {
  const std::int64_t hidden = o.in_channels * o.expansion;
  int place = 0;
  if (o.expansion != 1) {
    expand_.emplace(ConvBnActOptions{.conv = same_conv(o.in_channels, hidden, 1), .activation = kRelu6});
    register_module(std::to_string(place++), &*expand_);
  }
  depthwise_.emplace(
      ConvBnActOptions{.conv = same_conv(hidden, hidden, 3, o.stride, hidden), .activation = kRelu6});
  register_module(std::to_string(place++), &*depthwise_);
  project_.emplace(ConvBnActOptions{.conv = same_conv(hidden, o.out_channels, 1),
                                    .activation = {.kind = functional::Activation::Identity},
                                    .begins_at_zero = o.zero_init && o.keeps_shape(),
                                    .conv_name = std::to_string(place),
                                    .norm_name = std::to_string(place + 1)});
  register_inline(&*project_);
}

Tensor InvertedResidual::forward(const Tensor& x) {
  const Pending hidden = expand_ ? expand_->pending(x) : Pending(x);
  return (*project_)(depthwise_->pending(hidden), options_.keeps_shape() ? x : Tensor());
}

std::string InvertedResidual::describe() const {
  return fmt::format("InvertedResidual({}, {}, stride {}, expansion {})", options_.in_channels,
                     options_.out_channels, options_.stride, options_.expansion);
}

MobileNetV2::MobileNetV2(const MobileNetV2Config& config) : config_(config) {
  struct Stage {
    std::int64_t expansion, channels, blocks, stride;
  };
  const auto scaled = [&](std::int64_t channels) { return scaled_channels(channels, config.width); };
  std::int64_t channels = scaled(32);
  features_.add<ConvBnAct>(ConvBnActOptions{
      .conv = same_conv(config.in_channels, channels, 3, config.small_input ? 1 : 2), .activation = kRelu6});
  for (const Stage& stage : {Stage{1, 16, 1, 1},  // (N, 32, 112, 112) -> (N, 16, 112, 112)
                             Stage{6, 24, 2, config.small_input ? 1 : 2},  // (N, 24, 56, 56)
                             Stage{6, 32, 3, 2},                           // (N, 32, 28, 28)
                             Stage{6, 64, 4, 2},                           // (N, 64, 14, 14)
                             Stage{6, 96, 3, 1},                           // (N, 96, 14, 14)
                             Stage{6, 160, 3, 2},                          // (N, 160, 7, 7)
                             Stage{6, 320, 1, 1}})                         // (N, 320, 7, 7)
  {
    for (std::int64_t block = 0; block < stage.blocks; ++block) {
      const InvertedResidual::Options options{.in_channels = channels,
                                              .out_channels = scaled(stage.channels),
                                              .stride = block == 0 ? stage.stride : 1,
                                              .expansion = stage.expansion,
                                              .zero_init = config.zero_init_residual};
      features_.append(std::make_unique<Nested>("conv", std::make_unique<InvertedResidual>(options)));
      channels = options.out_channels;
    }
  }
  const std::int64_t last = scaled_channels(1280, std::max(1.0, config.width));
  features_.add<ConvBnAct>(ConvBnActOptions{.conv = same_conv(channels, last, 1), .activation = kRelu6});
  register_module("features", &features_);
  register_inline(&average_);
  classifier_.add<Dropout>(config.dropout)
      .add<Linear>(LinearOptions{
          .in_features = last, .out_features = config.classes, .scheme = init::Scheme::SmallNormal});
  register_module("classifier", &classifier_);
}

Tensor MobileNetV2::forward(const Tensor& x) {  // (N, 3, 224, 224)
  check_images(*this, x, config_.in_channels, 1);
  const Tensor y = average_(features_(x));     // (N, 1280, 7, 7) -> (N, 1280, 1, 1)
  return classifier_(functional::flatten(y));  // (N, classes)
}

std::vector<ZooModel> mobilenet_v2_models() {
  return {{.name = "mobilenet_v2",
           .paper = "Sandler et al., 2018",
           .parameters = 3'504'872,
           .multiply_adds = 0.301e9,
           .make = configured<MobileNetV2>(MobileNetV2Config{})},
          small_shapes_model("mobilenet_v2_small", "Sandler et al., 2018", 248'360,
                             configured<MobileNetV2>(MobileNetV2Config::small()))};
}

}  // namespace dlcuda

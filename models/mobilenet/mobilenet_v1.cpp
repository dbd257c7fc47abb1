#include "dlcuda/models/mobilenet/mobilenet_v1.h"

#include "dlcuda/models/configured.h"
#include "dlcuda/models/images.h"

namespace dlcuda {
namespace {

/// A depthwise and a pointwise convolution: "0" and "1".
void add_separable(Sequential& features, std::int64_t in, std::int64_t out, std::int64_t stride) {
  auto pair = std::make_unique<Sequential>();
  pair->add<ConvBnAct>(ConvBnActOptions{.conv = same_conv(in, in, 3, stride, in)})
      .add<ConvBnAct>(ConvBnActOptions{.conv = same_conv(in, out, 1)});
  features.append(std::move(pair));
}

}  // namespace

MobileNetV1::MobileNetV1(const MobileNetV1Config& config) : config_(config) {
  struct Stage {
    std::int64_t channels, blocks, stride;
  };
  std::int64_t channels = scaled_channels(32, config.width);
  features_.add<ConvBnAct>(
      ConvBnActOptions{.conv = same_conv(config.in_channels, channels, 3, config.small_input ? 1 : 2)});
  for (const Stage& stage : {Stage{64, 1, 1},     // (N, 32, 112, 112) -> (N, 64, 112, 112)
                             Stage{128, 2, 2},    // (N, 128, 56, 56)
                             Stage{256, 2, 2},    // (N, 256, 28, 28)
                             Stage{512, 6, 2},    // (N, 512, 14, 14)
                             Stage{1024, 2, 2}})  // (N, 1024, 7, 7)
  {
    for (std::int64_t block = 0; block < stage.blocks; ++block) {
      const std::int64_t width = scaled_channels(stage.channels, config.width);
      add_separable(features_, channels, width, block == 0 ? stage.stride : 1);
      channels = width;
    }
  }
  register_module("features", &features_);
  register_inline(&average_);
  classifier_.add<Dropout>(config.dropout)
      .add<Linear>(LinearOptions{
          .in_features = channels, .out_features = config.classes, .scheme = init::Scheme::SmallNormal});
  register_module("classifier", &classifier_);
}

Tensor MobileNetV1::forward(const Tensor& x) {  // (N, 3, 224, 224)
  check_images(*this, x, config_.in_channels, 1);
  const Tensor y = average_(features_(x));     // (N, 1024, 1, 1)
  return classifier_(functional::flatten(y));  // (N, classes)
}

std::vector<ZooModel> mobilenet_v1_models() {
  return {{.name = "mobilenet_v1",
           .paper = "Howard et al., 2017",
           .parameters = 4'231'976,
           .multiply_adds = 0.569e9,
           .make = configured<MobileNetV1>(MobileNetV1Config{})}};
}

}  // namespace dlcuda

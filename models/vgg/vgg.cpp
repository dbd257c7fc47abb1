#include "dlcuda/models/vgg/vgg.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "dlcuda/layers/blocks.h"
#include "dlcuda/models/configured.h"
#include "dlcuda/models/images.h"

namespace dlcuda {
namespace {

constexpr std::int64_t kLeast = 32;  // halved five times

/// Convolution, normalisation and ReLU, one after another in torchvision's list.
void add_convolution(Sequential& features, std::int64_t in, std::int64_t out, bool batch_norm) {
  const Conv2dOptions conv = with_bias(same_conv(in, out, 3));
  const std::size_t place = features.place();
  if (!batch_norm) {
    features.append_inline(std::make_unique<ConvAct>(std::to_string(place), conv), 2);
    return;
  }
  features.append_inline(
      std::make_unique<ConvBnAct>(ConvBnActOptions{
          .conv = conv, .conv_name = std::to_string(place), .norm_name = std::to_string(place + 1)}),
      3);
}

}  // namespace

VggConfig VggConfig::for_small_images() const {
  VggConfig config = *this;
  config.pooled = 1;
  config.hidden = 512;
  return config;
}

VggConfig VggConfig::small() {
  VggConfig config = vgg16(true).for_small_images();
  config.width = 8;
  return config;
}

Vgg::Vgg(const VggConfig& config) : config_(config), average_({config.pooled, config.pooled}) {
  std::int64_t channels = config.in_channels;
  for (std::size_t stage = 0; stage < config.depths.size(); ++stage) {
    const std::int64_t width = config.width << std::min<std::size_t>(stage, 3);
    for (std::int64_t i = 0; i < config.depths[stage]; ++i) {
      add_convolution(features_, channels, width, config.batch_norm);
      channels = width;
    }
    features_.add<MaxPool2d>();
  }
  register_module("features", &features_);
  register_inline(&average_);
  const auto linear = [](std::int64_t in, std::int64_t out) {
    return LinearOptions{.in_features = in, .out_features = out, .scheme = init::Scheme::SmallNormal};
  };
  classifier_.add<Linear>(linear(channels * config.pooled * config.pooled, config.hidden))
      .add<Relu>()
      .add<Dropout>(config.dropout)
      .add<Linear>(linear(config.hidden, config.hidden))
      .add<Relu>()
      .add<Dropout>(config.dropout)
      .add<Linear>(linear(config.hidden, config.classes));
  register_module("classifier", &classifier_);
}

Tensor Vgg::forward(const Tensor& x) {  // (N, 3, 224, 224)
  check_images(*this, x, config_.in_channels, kLeast);
  Tensor y = features_(x);               // (N, 64, 112, 112) ... (N, 512, 7, 7)
  y = functional::flatten(average_(y));  // (N, 512 * 7 * 7)
  return classifier_(y);                 // (N, 4096) ... (N, classes)
}

std::string Vgg::describe() const {
  const auto& depths = config_.depths;
  return fmt::format("VGG-{}{}", std::accumulate(depths.begin(), depths.end(), std::int64_t{3}),
                     config_.batch_norm ? " with batch normalisation" : "");
}

std::vector<ZooModel> vgg_models() {
  struct Row {
    const char* name;
    VggConfig config;
    std::int64_t parameters;
    double multiply_adds;
  };
  std::vector<ZooModel> models;
  for (const Row& row : {Row{"vgg11", VggConfig::vgg11(), 132'863'336, 7.609e9},
                         Row{"vgg13", VggConfig::vgg13(), 133'047'848, 11.308e9},
                         Row{"vgg16", VggConfig::vgg16(), 138'357'544, 15.470e9},
                         Row{"vgg19", VggConfig::vgg19(), 143'667'240, 19.632e9},
                         Row{"vgg11_bn", VggConfig::vgg11(true), 132'868'840, 7.609e9},
                         Row{"vgg13_bn", VggConfig::vgg13(true), 133'053'736, 11.308e9},
                         Row{"vgg16_bn", VggConfig::vgg16(true), 138'365'992, 15.470e9},
                         Row{"vgg19_bn", VggConfig::vgg19(true), 143'678'248, 19.632e9}}) {
    models.push_back({.name = row.name,
                      .paper = "Simonyan & Zisserman, 2015",
                      .parameters = row.parameters,
                      .multiply_adds = row.multiply_adds,
                      .make = configured<Vgg>(row.config)});
  }
  models.push_back(
      small_shapes_model("vgg16_small", models.front().paper, 531'664, configured<Vgg>(VggConfig::small())));
  return models;
}

}  // namespace dlcuda

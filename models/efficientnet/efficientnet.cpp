#include "dlcuda/models/efficientnet/efficientnet.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "dlcuda/core/check.h"
#include "dlcuda/models/configured.h"
#include "dlcuda/models/images.h"

namespace dlcuda {
namespace {

constexpr functional::ActivationParams kSilu{.kind = functional::Activation::Silu};
constexpr functional::ActivationParams kNone{.kind = functional::Activation::Identity};

struct Variant {
  double width, depth;
  std::int64_t side;  // of the images
  double dropout;
  std::int64_t parameters;
  double multiply_adds;
};
constexpr std::array<Variant, 8> kVariants{{{1.0, 1.0, 224, 0.2, 5'288'548, 0.386e9},
                                            {1.0, 1.1, 240, 0.2, 7'794'184, 0.687e9},
                                            {1.1, 1.2, 288, 0.3, 9'109'994, 1.088e9},
                                            {1.2, 1.4, 300, 0.3, 12'233'232, 1.827e9},
                                            {1.4, 1.8, 380, 0.4, 19'341'616, 4.394e9},
                                            {1.6, 2.2, 456, 0.4, 30'389'784, 10.266e9},
                                            {1.8, 2.6, 528, 0.5, 43'040'704, 19.068e9},
                                            {2.0, 3.1, 600, 0.5, 66'347'960, 37.746e9}}};

struct Stage {
  std::int64_t expansion, kernel, stride, channels, blocks;
};
constexpr std::array<Stage, 7> kStages{{{1, 3, 1, 16, 1},     // (N, 32, 112, 112) -> (N, 16, 112, 112)
                                        {6, 3, 2, 24, 2},     // (N, 24, 56, 56)
                                        {6, 5, 2, 40, 2},     // (N, 40, 28, 28)
                                        {6, 3, 2, 80, 3},     // (N, 80, 14, 14)
                                        {6, 5, 1, 112, 3},    // (N, 112, 14, 14)
                                        {6, 5, 2, 192, 4},    // (N, 192, 7, 7)
                                        {6, 3, 1, 320, 1}}};  // (N, 320, 7, 7)

/// The options that all blocks of a network have in common.
ConvBnActOptions block_of(const Conv2dOptions& conv, const functional::ActivationParams& activation,
                          double epsilon, double momentum) {
  return {.conv = conv, .activation = activation, .epsilon = epsilon, .momentum = momentum};
}

}  // namespace

EfficientNetConfig EfficientNetConfig::b(int number) {
  DLCUDA_CHECK(number >= 0 && number < static_cast<int>(kVariants.size()), ArgumentError,
               "EfficientNet: there are B0 to B7, got B{}", number);
  const Variant& variant = kVariants[static_cast<std::size_t>(number)];
  EfficientNetConfig config{.width = variant.width, .depth = variant.depth, .dropout = variant.dropout};
  if (number >= 5) {  // as their published weights were trained
    config.epsilon = 1e-3;
    config.momentum = 0.01;
  }
  return config;
}

MbConv::MbConv(const Options& o) : options_(o), drop_(o.stochastic_depth) {
  const std::int64_t hidden = o.in_channels * o.expansion;
  const auto pair = [&](const Conv2dOptions& conv, const functional::ActivationParams& activation) {
    return block_of(conv, activation, o.epsilon, o.momentum);
  };
  int place = 0;
  if (o.expansion != 1) {
    expand_.emplace(pair(same_conv(o.in_channels, hidden, 1), kSilu));
    register_module(std::to_string(place++), &*expand_);
  }
  depthwise_.emplace(pair(same_conv(hidden, hidden, o.kernel, o.stride, hidden), kSilu));
  register_module(std::to_string(place++), &*depthwise_);
  excite_.emplace(hidden, std::max<std::int64_t>(1, o.in_channels / 4));
  register_module(std::to_string(place++), &*excite_);
  project_.emplace(pair(same_conv(hidden, o.out_channels, 1), kNone));
  register_module(std::to_string(place), &*project_);
  register_inline(&drop_);
}

Tensor MbConv::forward(const Tensor& x) {
  Tensor y = expand_ ? (*expand_)(x) : x;
  y = (*excite_)((*depthwise_)(y));
  if (!options_.keeps_shape()) return (*project_)(y);
  if (!drop_.active()) return (*project_)(y, x);
  return functional::add(drop_((*project_)(y)), x);
}

std::string MbConv::describe() const {
  return fmt::format("MbConv({}, {}, kernel {}, stride {}, expansion {})", options_.in_channels,
                     options_.out_channels, options_.kernel, options_.stride, options_.expansion);
}

EfficientNet::EfficientNet(const EfficientNetConfig& config) : config_(config) {
  const auto scaled = [&](std::int64_t channels) { return scaled_channels(channels, config.width); };
  const auto silu = [&](const Conv2dOptions& conv) {
    return block_of(conv, kSilu, config.epsilon, config.momentum);
  };
  const auto depth = [&](const Stage& stage) {
    return static_cast<std::int64_t>(std::ceil(static_cast<double>(stage.blocks) * config.depth));
  };
  std::int64_t total = 0, done = 0;
  for (const Stage& stage : kStages) total += depth(stage);

  std::int64_t channels = scaled(32);
  features_.add<ConvBnAct>(silu(same_conv(config.in_channels, channels, 3, config.small_input ? 1 : 2)));
  for (const Stage& stage : kStages) {
    auto blocks = std::make_unique<Sequential>();
    for (std::int64_t block = 0; block < depth(stage); ++block, ++done) {
      const MbConv::Options options{.in_channels = channels,
                                    .out_channels = scaled(stage.channels),
                                    .kernel = stage.kernel,
                                    .stride = block == 0 ? stage.stride : 1,
                                    .expansion = stage.expansion,
                                    .stochastic_depth = config.stochastic_depth * static_cast<double>(done) /
                                                        static_cast<double>(total),
                                    .epsilon = config.epsilon,
                                    .momentum = config.momentum};
      blocks->append(std::make_unique<Nested>("block", std::make_unique<MbConv>(options)));
      channels = options.out_channels;
    }
    features_.append(std::move(blocks));
  }
  features_.add<ConvBnAct>(silu(same_conv(channels, 4 * channels, 1)));
  register_module("features", &features_);
  register_inline(&average_);
  classifier_.add<Dropout>(config.dropout)
      .add<Linear>(LinearOptions{.in_features = 4 * channels,
                                 .out_features = config.classes,
                                 .scheme = init::Scheme::UniformFanOut});
  register_module("classifier", &classifier_);
}

Tensor EfficientNet::forward(const Tensor& x) {  // (N, 3, 224, 224)
  check_images(*this, x, config_.in_channels, 1);
  const Tensor y = average_(features_(x));     // (N, 1280, 7, 7) -> (N, 1280, 1, 1)
  return classifier_(functional::flatten(y));  // (N, classes)
}

std::vector<ZooModel> efficientnet_models() {
  std::vector<ZooModel> models;
  for (std::size_t i = 0; i < kVariants.size(); ++i) {
    const Variant& variant = kVariants[i];
    models.push_back({.name = fmt::format("efficientnet_b{}", i),
                      .paper = "Tan & Le, 2019",
                      .input = {3, variant.side, variant.side},
                      .parameters = variant.parameters,
                      .multiply_adds = variant.multiply_adds,
                      .make = configured<EfficientNet>(EfficientNetConfig::b(static_cast<int>(i)))});
  }
  return models;
}

}  // namespace dlcuda

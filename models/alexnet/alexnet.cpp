#include "dlcuda/models/alexnet/alexnet.h"

#include "dlcuda/core/autograd.h"
#include "dlcuda/kernels/arithmetic.h"
#include "dlcuda/layers/blocks.h"
#include "dlcuda/layers/normalization.h"
#include "dlcuda/models/configured.h"
#include "dlcuda/models/images.h"

namespace dlcuda {
namespace {

constexpr std::int64_t kLeast = 63;  // below, the last pooling finds no window
constexpr std::int64_t kPooled = 6;  // side of what the classifier sees

// The paper does not divide alpha by the size of the window; LocalResponseNorm does.
constexpr functional::LocalResponseNormParams kResponseNorm{
    .size = 5, .alpha = 5 * 1e-4, .beta = 0.75, .k = 2};

}  // namespace

AlexNet::AlexNet(const AlexNetConfig& config) : config_(config), average_({kPooled, kPooled}) {
  struct Stage {
    std::int64_t kernel, stride, padding, groups;
    bool pool, norm;
  };
  // Pooling windows overlap, as the paper has them.
  const functional::Pool2dParams pool{.kernel = {3, 3}, .stride = {2, 2}};
  const bool norm = config.local_response_norm;
  const init::Scheme scheme =
      config.initial_weights_of_paper ? init::Scheme::SmallNormal : init::Scheme::Default;
  std::int64_t channels = config.in_channels;
  std::size_t number = 0;
  for (const Stage& stage : {Stage{11, 4, 2, 1, true, norm}, Stage{5, 1, 2, config.groups, true, norm},
                             Stage{3, 1, 1, 1, false, false}, Stage{3, 1, 1, config.groups, false, false},
                             Stage{3, 1, 1, config.groups, true, false}}) {
    const std::int64_t pad = stage.padding, width = config.widths[number++];
    const Conv2dOptions conv{.in_channels = channels,
                             .out_channels = width,
                             .kernel = {stage.kernel, stage.kernel},
                             .params = {.stride = {stage.stride, stage.stride},
                                        .padding = {pad, pad, pad, pad},
                                        .groups = stage.groups},
                             .scheme = scheme};
    features_.append_inline(std::make_unique<ConvAct>(std::to_string(features_.place()), conv), 2);
    if (stage.norm) features_.append_inline(std::make_unique<LocalResponseNorm>(kResponseNorm), 0);
    if (stage.pool) features_.add<MaxPool2d>(pool);
    channels = width;
  }
  register_module("features", &features_);
  register_inline(&average_);
  const auto linear = [&](std::int64_t in, std::int64_t out) {
    return LinearOptions{.in_features = in, .out_features = out, .scheme = scheme};
  };
  classifier_.add<Dropout>(config.dropout)
      .add<Linear>(linear(channels * kPooled * kPooled, config.hidden))
      .add<Relu>()
      .add<Dropout>(config.dropout)
      .add<Linear>(linear(config.hidden, config.hidden))
      .add<Relu>()
      .add<Linear>(linear(config.hidden, config.classes));
  register_module("classifier", &classifier_);
  if (!config.initial_weights_of_paper) return;
  for (auto& [name, bias] : state_dict()) {
    for (const char* layer : {"features.3", "features.8", "features.10", "classifier.1", "classifier.4"}) {
      if (name == std::string(layer) + ".bias") kernels::fill(bias, 1);
    }
  }
}

Tensor AlexNet::forward(const Tensor& x) {  // (N, 3, 224, 224)
  check_images(*this, x, config_.in_channels, kLeast);
  Tensor y = features_(x);               // (N, 64, 55, 55) ... (N, 256, 6, 6)
  y = functional::flatten(average_(y));  // (N, 256 * 6 * 6)
  return classifier_(y);                 // (N, 4096) ... (N, classes)
}

std::vector<ZooModel> alexnet_models() {
  return {{.name = "alexnet",
           .paper = "Krizhevsky, 2014",
           .parameters = 61'100'840,
           .multiply_adds = 0.714e9,
           .make = configured<AlexNet>(AlexNetConfig::one_tower())},
          {.name = "alexnet_lrn",
           .paper = "Krizhevsky et al., 2012",
           .parameters = 60'965'224,
           .multiply_adds = 0.724e9,
           .make = configured<AlexNet>(AlexNetConfig::paper())}};
}

}  // namespace dlcuda

#include "dlcuda/models/resnet/cifar.h"

#include <fmt/format.h>

#include "dlcuda/models/configured.h"
#include "dlcuda/models/images.h"
#include "dlcuda/models/resnet/pairs.h"

namespace dlcuda {

CifarBlock::CifarBlock(std::int64_t in_channels, std::int64_t out_channels, std::int64_t stride)
    : in_channels_(in_channels),
      out_channels_(out_channels),
      stride_(stride),
      first_(numbered_pair(1, same_conv(in_channels, out_channels, 3, stride))),
      second_(numbered_pair(2, same_conv(out_channels, out_channels, 3))) {
  register_inline(&first_);
  register_inline(&second_);
}

Tensor CifarBlock::forward(const Tensor& x) {
  Tensor shortcut = x;
  // Windows of one pixel: every second row and column.
  if (stride_ != 1) shortcut = functional::avg_pool2d(x, {.kernel = {1, 1}, .stride = {stride_, stride_}});
  if (in_channels_ != out_channels_) {
    const functional::AxisPadding none{}, zeros{0, out_channels_ - in_channels_};
    shortcut = functional::pad(shortcut, std::array{none, zeros, none, none});
  }
  return second_(first_.pending(x), shortcut);
}

std::string CifarBlock::describe() const {
  return fmt::format("CifarBlock({}, {}, stride {})", in_channels_, out_channels_, stride_);
}

CifarResNet::CifarResNet(const CifarResNetConfig& config)
    : config_(config),
      stem_(numbered_pair(1, same_conv(config.in_channels, config.width, 3))),
      fc_({.in_features = 4 * config.width, .out_features = config.classes}) {
  register_inline(&stem_);
  std::int64_t channels = config.width;
  for (std::size_t stage = 0; stage < stages_.size(); ++stage) {
    for (std::int64_t block = 0; block < config.blocks; ++block) {
      const std::int64_t width = config.width << stage;
      stages_[stage].add<CifarBlock>(channels, width, stage > 0 && block == 0 ? 2 : 1);
      channels = width;
    }
    register_module(fmt::format("layer{}", stage + 1), &stages_[stage]);
  }
  register_inline(&average_);
  register_module("fc", &fc_);
}

Tensor CifarResNet::forward(const Tensor& x) {  // (N, 3, 32, 32)
  check_images(*this, x, config_.in_channels, 1);
  Tensor y = stem_(x);                             // (N, 16, 32, 32)
  for (Sequential& stage : stages_) y = stage(y);  // (N, 16, 32, 32), (N, 32, 16, 16), (N, 64, 8, 8)
  return fc_(functional::flatten(average_(y)));    // (N, 64) -> (N, classes)
}

std::string CifarResNet::describe() const { return fmt::format("ResNet-{}", 6 * config_.blocks + 2); }

std::vector<ZooModel> cifar_resnet_models() {
  struct Row {
    const char* name;
    CifarResNetConfig config;
    std::int64_t parameters;
  };
  std::vector<ZooModel> models;
  // Stem 16 * 27 + 32; blocks of a stage 2 (9 c^2 + 2 c) each, the first of the second and third with 9 c^2 /
  // 2 less; 64 * 10 + 10.
  for (const Row& row : {Row{"resnet20", CifarResNetConfig::resnet20(), 269'722},
                         Row{"resnet56", CifarResNetConfig::resnet56(), 853'018}}) {
    models.push_back(
        {.name = row.name,
         .paper = "He et al., 2016",
         .input = {3, 32, 32},
         .classes = 10,
         .normalization = {{0.4914f, 0.4822f, 0.4465f}, {0.2470f, 0.2435f, 0.2616f}},  // CIFAR-10
         .parameters = row.parameters,
         .make = configured<CifarResNet>(row.config)});
  }
  return models;
}

}  // namespace dlcuda

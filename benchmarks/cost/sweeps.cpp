#include "dlcuda/benchmarks/cost/sweeps.h"

#include <functional>
#include <memory>
#include <utility>

#include "dlcuda/core/check.h"
#include "dlcuda/models/resnet/cifar.h"
#include "dlcuda/models/resnet/resnet.h"
#include "dlcuda/models/unet/unet.h"
#include "dlcuda/models/vgg/vgg.h"

namespace dlcuda::cost {
namespace {

using Sizes = std::vector<std::int64_t>;
/// A model of a family, for a place along the axis.
template <typename Config>
using Family = Config (*)(std::int64_t at);

/// As the zoo's model of that name, with other layers.
template <typename Network, typename Config>
ZooModel built(const char* like, const Config& config) {
  ZooModel model = find_model(like);
  model.make = [config](std::int64_t classes, std::int64_t channels) -> std::unique_ptr<Module> {
    Config sized = config;
    sized.classes = classes;
    sized.in_channels = channels;
    return std::make_unique<Network>(sized);
  };
  return model;
}

Sweep batches(const char* model, std::int64_t side, const Sizes& sizes) {
  Sweep sweep{model, Axis::BatchSize, {}};
  for (const std::int64_t n : sizes) sweep.points.push_back({n, find_model(model), n, side});
  return sweep;
}

Sweep sides(const char* model, std::int64_t batch_size, const Sizes& sizes) {
  Sweep sweep{model, Axis::Side, {}};
  for (const std::int64_t n : sizes) sweep.points.push_back({n, find_model(model), batch_size, n});
  return sweep;
}

template <typename Network, typename Config>
Sweep family(const char* name, Axis axis, const char* like, std::int64_t batch_size, std::int64_t side,
             const Sizes& sizes, Family<Config> config) {
  Sweep sweep{name, axis, {}};
  for (const std::int64_t n : sizes) {
    sweep.points.push_back({n, built<Network>(like, config(n)), batch_size, side});
  }
  return sweep;
}

}  // namespace

std::string to_string(Axis axis) {
  switch (axis) {
    case Axis::BatchSize:
      return "batch size";
    case Axis::Side:
      return "side";
    case Axis::Depth:
      return "depth";
    case Axis::Width:
      return "width";
  }
  DLCUDA_THROW(ArgumentError, "unknown axis {}", int(axis));
}

std::vector<Sweep> step_sweeps() {
  return {
      batches("lenet5", 32, {16, 32, 64, 128, 256, 512, 1024, 2048, 4096}),
      batches("resnet18", 96, {1, 2, 4, 8, 16, 32, 64, 128, 256}),
      batches("mobilenet_v2", 96, {1, 2, 4, 8, 16, 32, 64, 128, 256}),
      batches("unet16", 64, {1, 2, 4, 8, 16, 32, 64, 128}),
      sides("resnet18", 2, {64, 96, 128, 192, 256, 384, 512, 768}),
      sides("mobilenet_v2", 2, {64, 96, 128, 192, 256, 384, 512, 768}),
      sides("unet16", 2, {32, 64, 96, 128, 192, 256, 384, 512, 768}),
      sides("yolov2_tiny", 2, {64, 96, 128, 192, 256, 320, 416, 608}),
      family<ResNet, ResNetConfig>("ResNet, blocks", Axis::Depth, "resnet18", 4, 64, {1, 2, 3, 4, 6, 8, 12},
                                   [](std::int64_t n) {
                                     return ResNetConfig{.depths = {n, n, n, n}};
                                   }),
      family<ResNet, ResNetConfig>("ResNet, bottlenecks", Axis::Depth, "resnet50", 4, 64,
                                   {1, 2, 3, 4, 6, 8, 12},
                                   [](std::int64_t n) {
                                     return ResNetConfig{.bottleneck = true, .depths = {n, n, n, n}};
                                   }),
      family<Vgg, VggConfig>("VGG", Axis::Depth, "vgg16", 4, 64, {1, 2, 3, 4, 6, 8},
                             [](std::int64_t n) {
                               VggConfig config = VggConfig::vgg16(true).for_small_images();
                               config.depths = {n, n, n, n, n};
                               return config;
                             }),
      family<UNet, UNetConfig>("U-Net", Axis::Depth, "unet16", 4, 128, {1, 2, 3, 4, 5, 6},
                               [](std::int64_t n) {
                                 UNetConfig config = UNetConfig::quarter();
                                 config.depth = n;
                                 return config;
                               }),
  };
}

std::vector<Sweep> startup_sweeps() {
  return {
      family<CifarResNet, CifarResNetConfig>("ResNet of 16 channels", Axis::Depth, "resnet20", 4, 32,
                                             {2, 4, 8, 16, 32, 64},
                                             [](std::int64_t n) { return CifarResNetConfig{.blocks = n}; }),
      family<ResNet, ResNetConfig>("ResNet-18", Axis::Width, "resnet18", 2, 64, {8, 16, 32, 64, 96, 128},
                                   [](std::int64_t n) { return ResNetConfig{.width = n}; }),
  };
}

}  // namespace dlcuda::cost

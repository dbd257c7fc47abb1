#include "dlcuda/models/yolov2/darknet19.h"

#include <initializer_list>

#include "dlcuda/layers/functional.h"
#include "dlcuda/models/yolov2/darknet_layers.h"

namespace dlcuda {
namespace {

/// 3x3 and 1x1 convolutions in turn, with so many channels (times `width`).
void add_stage(Sequential& layers, std::int64_t in_channels, std::initializer_list<std::int64_t> channels,
               const Darknet19Config& config) {
  std::int64_t kernel = 3;
  for (const std::int64_t out : channels) {
    layers.add<ConvBnAct>(darknet_conv(in_channels, out * config.width, kernel, config.norm_momentum));
    in_channels = out * config.width;
    kernel = 4 - kernel;
  }
}

}  // namespace

Darknet19Trunk::Darknet19Trunk(const Darknet19Config& config) {
  const std::int64_t width = config.width;
  add_stage(*this, config.in_channels, {1}, config);        // (N, 32, 416, 416)
  add<MaxPool2d>();                                         // (N, 32, 208, 208)
  add_stage(*this, width, {2}, config);                     // (N, 64, 208, 208)
  add<MaxPool2d>();                                         // (N, 64, 104, 104)
  add_stage(*this, 2 * width, {4, 2, 4}, config);           // (N, 128, 104, 104)
  add<MaxPool2d>();                                         // (N, 128, 52, 52)
  add_stage(*this, 4 * width, {8, 4, 8}, config);           // (N, 256, 52, 52)
  add<MaxPool2d>();                                         // (N, 256, 26, 26)
  add_stage(*this, 8 * width, {16, 8, 16, 8, 16}, config);  // (N, 512, 26, 26)
}

Darknet19Deep::Darknet19Deep(const Darknet19Config& config) {
  add<MaxPool2d>();                                                   // (N, 512, 13, 13)
  add_stage(*this, 16 * config.width, {32, 16, 32, 16, 32}, config);  // (N, 1024, 13, 13)
}

Darknet19::Darknet19(const Darknet19Config& config)
    : trunk_(config),
      deep_(config),
      classifier_({.in_channels = 32 * config.width, .out_channels = config.classes, .kernel = {1, 1}}) {
  register_module("trunk", &trunk_);
  register_module("deep", &deep_);
  register_module("classifier", &classifier_);
}

Tensor Darknet19::forward(const Tensor& x) {  // (N, 3, 224, 224)
  const Tensor y = deep_(trunk_(x));          // (N, 512, 14, 14) -> (N, 1024, 7, 7)
  return functional::flatten(functional::global_avg_pool2d(classifier_(y)));  // (N, 1000, 7, 7) -> (N, 1000)
}

}  // namespace dlcuda

// A residual network in small, for tests of what stands under models: a stem, two basic blocks of which the
// second strides, a linear head. Images (N, 3, H, W) -> logits (N, 10).
#pragma once

#include "dlcuda/layers/layers.h"
#include "dlcuda/layers/normalization.h"

namespace dlcuda::testing {

inline Conv2dOptions plain_conv(std::int64_t in, std::int64_t out, std::int64_t kernel, std::int64_t stride) {
  const std::int64_t padding = kernel / 2;
  return {.in_channels = in,
          .out_channels = out,
          .kernel = {kernel, kernel},
          .params = {.stride = {stride, stride}, .padding = {padding, padding, padding, padding}},
          .bias = false};
}

inline functional::BatchNormParams with_relu() {
  return {.activation = {.kind = functional::Activation::Relu}};
}

class SmallBlock : public Module {
 public:
  SmallBlock(std::int64_t in, std::int64_t out, std::int64_t stride)
      : strides_(stride != 1),
        conv1_(plain_conv(in, out, 3, stride)),
        bn1_(out, with_relu()),
        conv2_(plain_conv(out, out, 3, 1)),
        bn2_(out, with_relu()),
        shortcut_(plain_conv(in, out, 1, stride)),
        shortcut_bn_(out) {
    register_module("conv1", &conv1_);
    register_module("bn1", &bn1_);
    register_module("conv2", &conv2_);
    register_module("bn2", &bn2_);
    if (!strides_) return;
    register_module("shortcut", &shortcut_);
    register_module("shortcut_bn", &shortcut_bn_);
  }
  Tensor forward(const Tensor& x) override {
    return bn2_(conv2_(bn1_(conv1_(x))), strides_ ? shortcut_bn_(shortcut_(x)) : x);
  }
  std::string describe() const override { return "SmallBlock"; }

 private:
  bool strides_;
  Conv2d conv1_;
  BatchNorm2d bn1_;
  Conv2d conv2_;
  BatchNorm2d bn2_;
  Conv2d shortcut_;
  BatchNorm2d shortcut_bn_;
};

class SmallResNet : public Module {
 public:
  explicit SmallResNet(std::int64_t width = 8)
      : stem_(plain_conv(3, width, 3, 1)),
        norm_(width, with_relu()),
        block1_(width, width, 1),
        block2_(width, 2 * width, 2),
        head_(2 * width, 10) {
    register_module("stem", &stem_);
    register_module("norm", &norm_);
    register_module("block1", &block1_);
    register_module("block2", &block2_);
    register_module("head", &head_);
  }
  Tensor forward(const Tensor& x) override {
    const Tensor pooled = functional::global_avg_pool2d(block2_(block1_(norm_(stem_(x)))));
    return head_(functional::flatten(pooled));
  }
  std::string describe() const override { return "SmallResNet"; }

 private:
  Conv2d stem_;
  BatchNorm2d norm_;
  SmallBlock block1_, block2_;
  Linear head_;
};

}  // namespace dlcuda::testing

#include "dlcuda/models/lenet5/lenet5.h"

#include "dlcuda/models/configured.h"

namespace dlcuda {
namespace {

constexpr functional::ActivationParams kTanh{.kind = functional::Activation::Tanh};

}  // namespace

LeNet5::LeNet5(const LeNet5Config& config)
    : conv1_(
          {.in_channels = config.in_channels, .out_channels = 6, .kernel = {5, 5}, .scheme = config.scheme}),
      conv2_({.in_channels = 6, .out_channels = 16, .kernel = {5, 5}, .scheme = config.scheme}),
      fc1_({.in_features = 400, .out_features = 120, .scheme = config.scheme}),
      fc2_({.in_features = 120, .out_features = 84, .scheme = config.scheme}),
      fc3_({.in_features = 84, .out_features = config.classes, .scheme = config.scheme}) {
  register_module("conv1", &conv1_);
  register_module("conv2", &conv2_);
  register_module("pool", &pool_);
  register_module("fc1", &fc1_);
  register_module("fc2", &fc2_);
  register_module("fc3", &fc3_);
}

Tensor LeNet5::forward(const Tensor& x) {  // (N, 1, 32, 32)
  Tensor y = conv1_(x, kTanh, pool_);      // (N, 6, 28, 28) -> (N, 6, 14, 14)
  y = conv2_(y, kTanh, pool_);             // (N, 16, 10, 10) -> (N, 16, 5, 5)
  y = functional::flatten(y);              // (N, 400)
  y = fc1_(y, kTanh);                      // (N, 120)
  y = fc2_(y, kTanh);                      // (N, 84)
  return fc3_(y);                          // (N, 10)
}

std::vector<ZooModel> lenet5_models() {
  return {{.name = "lenet5",
           .paper = "LeCun et al., 1998",
           .input = {1, LeNet5::kInputSide, LeNet5::kInputSide},
           .classes = 10,
           .normalization = {{0.1307f}, {0.3081f}},  // of MNIST
           .parameters = 61'706,
           .multiply_adds = 0.4165e6,
           // Its few channels run fastest plane by plane on the CPU; dropout masks and losses agree across
           // devices only within one format, so the GPU takes the same.
           .format = MemoryFormat::Contiguous,
           .make = configured<LeNet5>(LeNet5Config{})}};
}

}  // namespace dlcuda

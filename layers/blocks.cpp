#include "dlcuda/layers/blocks.h"

#include <fmt/format.h>

namespace dlcuda {
namespace {

using functional::Activation;

functional::BatchNormParams norm_params(const ConvBnActOptions& options) {
  functional::BatchNormParams params{.epsilon = options.epsilon, .momentum = options.momentum};
  // An activation that must see its input again has a pass of its own.
  if (!kernels::activation_saves_input(options.activation.kind)) params.activation = options.activation;
  return params;
}

}  // namespace

Conv2dOptions same_conv(std::int64_t in_channels, std::int64_t out_channels, std::int64_t kernel,
                        std::int64_t stride, std::int64_t groups) {
  const std::int64_t pad = (kernel - 1) / 2;
  return {.in_channels = in_channels,
          .out_channels = out_channels,
          .kernel = {kernel, kernel},
          .params = {.stride = {stride, stride}, .padding = {pad, pad, pad, pad}, .groups = groups},
          .bias = false,
          .scheme = init::Scheme::HeNormalFanOut};
}

ConvBnAct::ConvBnAct(const ConvBnActOptions& options)
    : activation_(options.activation),
      fused_(!kernels::activation_saves_input(options.activation.kind)),
      conv_(options.conv),
      norm_(options.conv.out_channels, norm_params(options)) {
  register_module(options.conv_name, &conv_);
  register_module(options.norm_name, &norm_);
}

Tensor ConvBnAct::forward(const Tensor& x, const Tensor& residual) {
  const Tensor y = norm_(conv_(x), residual);
  return fused_ ? y : functional::activation(y, activation_);
}

std::string ConvBnAct::describe() const {
  return fmt::format("ConvBnAct({}, {})", conv_.describe(), ActivationLayer(activation_).describe());
}

}  // namespace dlcuda

#include "dlcuda/layers/blocks.h"

#include <fmt/format.h>

#include "dlcuda/core/autograd.h"
#include "dlcuda/core/check.h"

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

Conv2dOptions with_bias(Conv2dOptions conv) {
  conv.bias = true;
  return conv;
}

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
    : options_(options), conv_(options.conv), norm_(options.conv.out_channels, norm_params(options)) {
  register_module(options.conv_name, &conv_);
  register_module(options.norm_name, &norm_);
  if (options.begins_at_zero) norm_.tensors().weight.detach().zero();
}

Tensor ConvBnAct::convolve(const Pending& x, kernels::ChannelTotals& totals) {
  const kernels::Conv2dParams& params = options_.conv.params;
  const bool wants_totals =
      norm_.uses_batch_statistics() && !conv_.bias().defined() && autograd::grad_enabled();
  if (wants_totals && x.norm_ != nullptr) {
    // Only a depthwise convolution takes a norm whose statistics still cost a pass.
    const bool known = x.totals_.defined() || params.groups > 1;
    if (known && kernels::conv2d_absorbs_norms(x.raw_, conv_.weight(), params, true,
                                               x.norm_->params().activation.kind)) {
      return conv_({x.raw_, x.totals_, x.norm_->tensors(), x.norm_->params()}, totals);
    }
  }
  const Tensor input = x.value();
  const bool absorbs = wants_totals && kernels::conv2d_absorbs_norms(input, conv_.weight(), params, false);
  return absorbs ? conv_({.raw = input}, totals) : conv_(input);
}

Tensor ConvBnAct::finish(const Tensor& raw, const Tensor& residual, const kernels::ChannelTotals& totals,
                         const Tensor& into) {
  const Tensor y = norm_(raw, residual, totals, into);
  const bool fused = norm_.params().activation.kind == options_.activation.kind;
  return fused ? y : functional::activation(y, options_.activation);
}

Tensor ConvBnAct::forward(const Pending& x, const Tensor& residual, const Tensor& into) {
  DLCUDA_CHECK(!into.defined() || writes_into(), ArgumentError,
               "ConvBnAct: the output cannot be written into another tensor, because it is not the norm's");
  if (folded_) return conv_(x.value(), residual, options_.activation);
  kernels::ChannelTotals totals;
  const Tensor raw = convolve(x, totals);
  return finish(raw, residual, totals, into);
}

Pending ConvBnAct::pending(const Pending& x) {
  // What the next convolution can take over is a norm with the statistics of the batch and a ReLU.
  const Activation kind = options_.activation.kind;
  if (folded_ || (kind != Activation::Relu && kind != Activation::Relu6)) return (*this)(x, {});
  kernels::ChannelTotals totals;
  bool is_left = false;
  Tensor y = call([&] {
    const Tensor raw = convolve(x, totals);
    is_left = totals.defined() || (raw.device().is_cuda() && kernels::allow_norm_absorption() &&
                                   norm_.uses_batch_statistics() && autograd::grad_enabled());
    return is_left ? raw : finish(raw, {}, {});
  });
  if (!is_left) return y;
  return {std::move(y), std::move(totals), norm_};
}

void ConvBnAct::fold() {
  if (folded_) return;
  const autograd::NoGrad no_grad;
  const auto& norm = norm_.tensors();
  const auto [weight, bias] = kernels::fold_batch_norm(conv_.weight(), conv_.bias(), norm.weight, norm.bias,
                                                       norm.running_mean, norm.running_var, options_.epsilon);
  conv_.replace(weight, bias);
  unregister_module(options_.norm_name);
  folded_ = true;
}

std::string ConvBnAct::describe() const {
  return fmt::format("ConvBnAct({}, {})", conv_.describe(), ActivationLayer(options_.activation).describe());
}

std::int64_t fold_batch_norm(Module& model) {
  std::int64_t folded = 0;
  if (auto* block = dynamic_cast<ConvBnAct*>(&model); block && !block->is_folded()) {
    block->fold();
    ++folded;
  }
  for (const auto& [name, child] : model.children()) folded += fold_batch_norm(*child);
  return folded;
}

ConvAct::ConvAct(const std::string& name, const Conv2dOptions& conv,
                 const functional::ActivationParams& activation)
    : conv_(conv), activation_(activation) {
  register_module(name, &conv_);
}

std::string ConvAct::describe() const {
  return fmt::format("ConvAct({}, {})", conv_.describe(), activation_.describe());
}

Nested::Nested(const std::string& name, std::unique_ptr<Module> inner) : inner_(std::move(inner)) {
  register_module(name, inner_.get());
}

SqueezeExcitation::SqueezeExcitation(std::int64_t channels, std::int64_t squeezed_channels)
    : channels_(channels),
      squeezed_channels_(squeezed_channels),
      fc1_(with_bias(same_conv(channels, squeezed_channels, 1))),
      fc2_(with_bias(same_conv(squeezed_channels, channels, 1))) {
  register_inline(&average_);
  register_module("fc1", &fc1_);
  register_module("fc2", &fc2_);
}

Tensor SqueezeExcitation::forward(const Tensor& x) {                          // (N, C, H, W)
  const Tensor squeezed = fc1_(average_(x), {}, {.kind = Activation::Silu});  // (N, C / 24, 1, 1), say
  return functional::multiply(x, fc2_(squeezed, {}, {.kind = Activation::Sigmoid}));
}

std::string SqueezeExcitation::describe() const {
  return fmt::format("SqueezeExcitation({}, {})", channels_, squeezed_channels_);
}

}  // namespace dlcuda

#include "dlcuda/layers/layers.h"

#include <algorithm>
#include <cmath>

#include "dlcuda/core/autograd.h"
#include "dlcuda/core/check.h"

namespace dlcuda {
namespace {

using functional::Activation;
using functional::Conv2dParams;
using functional::Pool2dParams;

bool all_at_least(std::int64_t least, std::span<const std::int64_t> values) {
  return std::all_of(values.begin(), values.end(), [&](std::int64_t value) { return value >= least; });
}

void check_positive(const char* layer, const char* what, std::span<const std::int64_t> values) {
  DLCUDA_CHECK(all_at_least(1, values), ArgumentError, "{}: {} must be at least 1, got {}", layer, what,
               fmt::join(values, " x "));
}

/// What Conv2dOptions and ConvTranspose2dOptions have in common.
template <typename Options>
Options checked_convolution(const char* layer, const Options& options) {
  const auto& params = options.params;
  check_positive(layer, "in_channels", {&options.in_channels, 1});
  check_positive(layer, "out_channels", {&options.out_channels, 1});
  check_positive(layer, "groups", {&params.groups, 1});
  check_positive(layer, "kernel", options.kernel);
  check_positive(layer, "stride", params.stride);
  check_positive(layer, "dilation", params.dilation);
  DLCUDA_CHECK(all_at_least(0, params.padding), ArgumentError,
               "{}: padding (top, left, bottom, right) must not be negative, got {}", layer,
               fmt::join(params.padding, ", "));
  DLCUDA_CHECK(options.in_channels % params.groups == 0 && options.out_channels % params.groups == 0,
               ArgumentError, "{}: groups must divide the channels; got {} in, {} out and {} groups", layer,
               options.in_channels, options.out_channels, params.groups);
  return options;
}

ConvTranspose2dOptions checked(const ConvTranspose2dOptions& options) {
  checked_convolution("ConvTranspose2d", options);
  const auto &stride = options.params.stride, &output_padding = options.params.output_padding;
  for (std::size_t axis = 0; axis < 2; ++axis) {
    DLCUDA_CHECK(0 <= output_padding[axis] && output_padding[axis] < stride[axis], ArgumentError,
                 "ConvTranspose2d: output_padding must be from 0 to the stride - 1, got {} for stride {}",
                 fmt::join(output_padding, " x "), fmt::join(stride, " x "));
  }
  return options;
}

LinearOptions checked(const LinearOptions& options) {
  check_positive("Linear", "in_features", {&options.in_features, 1});
  check_positive("Linear", "out_features", {&options.out_features, 1});
  return options;
}

Pool2dParams checked(const char* layer, const Pool2dParams& params) {
  check_positive(layer, "kernel", params.kernel);
  check_positive(layer, "stride", params.stride);
  for (std::size_t axis = 0; axis < 2; ++axis) {
    DLCUDA_CHECK(0 <= params.padding[axis] && params.padding[axis] <= params.kernel[axis] / 2, ArgumentError,
                 "{}: padding must be between 0 and half the kernel, got {} for a kernel of {}", layer,
                 fmt::join(params.padding, " x "), fmt::join(params.kernel, " x "));
  }
  return params;
}

double checked_probability(const char* layer, double p) {
  DLCUDA_CHECK(0 <= p && p <= 1, ArgumentError, "{}: p must be a probability between 0 and 1, got {}", layer,
               p);
  return p;
}

std::string pair_text(const std::array<std::int64_t, 2>& pair) {
  return fmt::format("{}x{}", pair[0], pair[1]);
}

std::string describe_pool(const char* layer, const Pool2dParams& params) {
  std::string text =
      fmt::format("{}(kernel {}, stride {}", layer, pair_text(params.kernel), pair_text(params.stride));
  if (params.padding != Pool2dParams{}.padding) text += ", padding " + pair_text(params.padding);
  return text + ")";
}

/// "Conv2d(3, 8, kernel 3x3, stride 2x2", without what is usual.
template <typename Options>
std::string describe_convolution(const char* layer, const Options& options) {
  const auto& params = options.params;
  const std::remove_cvref_t<decltype(params)> usual;
  std::string text = fmt::format("{}({}, {}, kernel {}", layer, options.in_channels, options.out_channels,
                                 pair_text(options.kernel));
  if (params.stride != usual.stride) text += ", stride " + pair_text(params.stride);
  const auto& pad = params.padding;
  if (pad[0] != pad[2] || pad[1] != pad[3]) {
    text += fmt::format(", padding {}", fmt::join(pad, ","));
  } else if (pad != usual.padding) {
    text += ", padding " + pair_text({pad[0], pad[1]});
  }
  if (params.dilation != usual.dilation) text += ", dilation " + pair_text(params.dilation);
  if (params.groups != usual.groups) text += fmt::format(", groups {}", params.groups);
  return text;
}

}  // namespace

Conv2d::Conv2d(const Conv2dOptions& options) : options_(checked_convolution("Conv2d", options)) {
  const Shape shape{options.out_channels, options.in_channels / options.params.groups, options.kernel[0],
                    options.kernel[1]};
  weight_ = init::weight(shape, options.scheme);
  register_parameter("weight", &weight_);
  if (!options.bias) return;
  bias_ = init::bias(options.out_channels, init::fans(shape).in, options.scheme);
  register_parameter("bias", &bias_);
}

Tensor Conv2d::forward(const Tensor& x) { return functional::conv2d(x, weight_, bias_, options_.params); }

Tensor Conv2d::forward(const Tensor& x, const Tensor& residual,
                       const functional::ActivationParams& activation) {
  if (!autograd::any_requires_grad({x, weight_, bias_, residual})) {
    return kernels::conv2d_fused(x, weight_, bias_, residual, options_.params, activation, &packed_);
  }
  if (!residual.defined()) {
    return functional::conv2d_activation(x, weight_, bias_, options_.params, activation);
  }
  return functional::activation(functional::add(forward(x), residual), activation);
}

Tensor Conv2d::forward(const functional::PendingNorm& x, kernels::ChannelTotals& totals) {
  auto out = functional::conv2d_with_totals(x, weight_, options_.params);
  totals = std::move(out.totals);
  return std::move(out.y);
}

void Conv2d::replace(const Tensor& weight, const Tensor& bias) {
  const auto check = [&](const char* what, const Tensor& value, const Shape& shape) {
    DLCUDA_CHECK(value.defined() && value.shape() == shape, ShapeError,
                 "Conv2d: a new {} must have shape {}, got {}", what, to_string(shape),
                 value.defined() ? to_string(value.shape()) : "none");
  };
  check("weight", weight, weight_.shape());
  check("bias", bias, Shape{options_.out_channels});
  const bool trained = weight_.requires_grad();
  weight_ = weight;
  weight_.set_requires_grad(trained);
  bias_ = bias;
  if (!options_.bias) register_parameter("bias", &bias_);
  options_.bias = true;
  bias_.set_requires_grad(trained);
}

std::string Conv2d::describe() const {
  return describe_convolution("Conv2d", options_) + (options_.bias ? ")" : ", no bias)");
}

ConvTranspose2d::ConvTranspose2d(const ConvTranspose2dOptions& options) : options_(checked(options)) {
  const Shape shape{options.in_channels, options.out_channels / options.params.groups, options.kernel[0],
                    options.kernel[1]};
  weight_ = init::weight(shape, options.scheme);
  register_parameter("weight", &weight_);
  if (!options.bias) return;
  bias_ = init::bias(options.out_channels, init::fans(shape).in, options.scheme);
  register_parameter("bias", &bias_);
}

Tensor ConvTranspose2d::forward(const Tensor& x) {
  return functional::conv_transpose2d(x, weight_, bias_, options_.params);
}

std::string ConvTranspose2d::describe() const {
  std::string text = describe_convolution("ConvTranspose2d", options_);
  const auto& output_padding = options_.params.output_padding;
  if (output_padding != functional::ConvTranspose2dParams{}.output_padding) {
    text += ", output padding " + pair_text(output_padding);
  }
  return text + (options_.bias ? ")" : ", no bias)");
}

Linear::Linear(const LinearOptions& options) : options_(checked(options)) {
  weight_ = init::weight({options.out_features, options.in_features}, options.scheme);
  register_parameter("weight", &weight_);
  if (!options.bias) return;
  bias_ = init::bias(options.out_features, options.in_features, options.bias_scheme);
  register_parameter("bias", &bias_);
}

Tensor Linear::forward(const Tensor& x) { return functional::linear(x, weight_, bias_); }
Tensor Linear::forward(const Tensor& x, const functional::ActivationParams& activation) {
  return functional::linear_activation(x, weight_, bias_, activation);
}

std::string Linear::describe() const {
  return fmt::format("Linear({}, {}{})", options_.in_features, options_.out_features,
                     options_.bias ? "" : ", no bias");
}

AvgPool2d::AvgPool2d(const Pool2dParams& params) : params_(checked("AvgPool2d", params)) {}
Tensor AvgPool2d::forward(const Tensor& x) { return functional::avg_pool2d(x, params_); }
std::string AvgPool2d::describe() const { return describe_pool("AvgPool2d", params_); }

MaxPool2d::MaxPool2d(const Pool2dParams& params) : params_(checked("MaxPool2d", params)) {}
Tensor MaxPool2d::forward(const Tensor& x) { return functional::max_pool2d(x, params_); }
std::string MaxPool2d::describe() const { return describe_pool("MaxPool2d", params_); }

std::string AdaptiveAvgPool2d::describe() const {
  return fmt::format("AdaptiveAvgPool2d({})", pair_text(size_));
}

ActivationLayer::ActivationLayer(const functional::ActivationParams& params) : params_(params) {
  DLCUDA_CHECK(std::isfinite(params.slope) && params.slope >= 0, ArgumentError,
               "LeakyRelu: slope must be finite and not negative, got {}", params.slope);
  DLCUDA_CHECK(std::isfinite(params.alpha) && params.alpha >= 0, ArgumentError,
               "Elu: alpha must be finite and not negative, got {}", params.alpha);
  DLCUDA_CHECK(std::isfinite(params.beta) && params.beta > 0, ArgumentError,
               "Softplus: beta must be finite and positive, got {}", params.beta);
}

Tensor ActivationLayer::forward(const Tensor& x) { return functional::activation(x, params_); }

std::string ActivationLayer::describe() const {
  switch (params_.kind) {
    case Activation::Identity:
      return "Identity()";
    case Activation::Sigmoid:
      return "Sigmoid()";
    case Activation::Tanh:
      return "Tanh()";
    case Activation::Relu:
      return "Relu()";
    case Activation::Relu6:
      return "Relu6()";
    case Activation::LeakyRelu:
      return fmt::format("LeakyRelu({})", params_.slope);
    case Activation::Elu:
      return fmt::format("Elu({})", params_.alpha);
    case Activation::Silu:
      return "Silu()";
    case Activation::Gelu:
      return "Gelu()";
    case Activation::GeluTanh:
      return "GeluTanh()";
    case Activation::HardSigmoid:
      return "HardSigmoid()";
    case Activation::HardSwish:
      return "HardSwish()";
    case Activation::Softplus:
      return fmt::format("Softplus({}, {})", params_.beta, params_.threshold);
  }
  return "ActivationLayer()";
}

Dropout::Dropout(double p) : p_(checked_probability("Dropout", p)) {}

Tensor Dropout::forward(const Tensor& x) {
  return functional::dropout(x, p_, is_training(), kernels::dropout_generator(x.device()));
}

std::string Dropout::describe() const { return fmt::format("Dropout({})", p_); }

StochasticDepth::StochasticDepth(double p) : p_(checked_probability("StochasticDepth", p)) {}

Tensor StochasticDepth::forward(const Tensor& x) {
  return functional::sample_dropout(x, p_, is_training(), kernels::dropout_generator(x.device()));
}

std::string StochasticDepth::describe() const { return fmt::format("StochasticDepth({})", p_); }

Tensor Flatten::forward(const Tensor& x) { return functional::flatten(x); }
std::string Flatten::describe() const { return "Flatten()"; }

void Sequential::append(std::unique_ptr<Module> layer) {
  DLCUDA_CHECK(layer != nullptr, ArgumentError, "Sequential: layer {} is a null pointer", place_);
  register_module(std::to_string(place_), layer.get());
  layers_.push_back(std::move(layer));
  ++place_;
}

void Sequential::append_inline(std::unique_ptr<Module> block, std::size_t places) {
  DLCUDA_CHECK(block != nullptr, ArgumentError, "Sequential: the block at {} is a null pointer", place_);
  register_inline(block.get());
  layers_.push_back(std::move(block));
  place_ += places;
}

Tensor Sequential::forward(const Tensor& x) {
  Tensor y = x;
  for (const auto& layer : layers_) y = (*layer)(y);
  return y;
}

std::string Sequential::describe() const { return fmt::format("Sequential({} layers)", layers_.size()); }

}  // namespace dlcuda

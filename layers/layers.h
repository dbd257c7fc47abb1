// The layers: modules around functional.h.
#pragma once

#include <array>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "dlcuda/kernels/conv2d_fused.h"
#include "dlcuda/layers/functional.h"
#include "dlcuda/layers/init.h"
#include "dlcuda/layers/module.h"

namespace dlcuda DLCUDA_API {

/// Sizes of a convolution. Extents and strides are {height, width}.
struct Conv2dOptions {
  std::int64_t in_channels;
  std::int64_t out_channels;
  std::array<std::int64_t, 2> kernel;  ///< height, width
  functional::Conv2dParams params = {};
  bool bias = true;
  init::Scheme scheme = init::Scheme::Default;
};

/// Parameters: weight (O, C / groups, KH, KW), bias (O).
class Conv2d : public Module {
 public:
  /// Throws ArgumentError for sizes that are not positive, negative padding, groups that do not divide the
  /// channels.
  explicit Conv2d(const Conv2dOptions& options);
  /// A square kernel, stride 1, no padding.
  Conv2d(std::int64_t in_channels, std::int64_t out_channels, std::int64_t kernel)
      : Conv2d(Conv2dOptions{in_channels, out_channels, {kernel, kernel}}) {}
  Tensor forward(const Tensor& x) override;
  /// activation(forward(x) + residual), residual may be undefined: in one pass where no gradient is recorded.
  Tensor forward(const Tensor& x, const Tensor& residual, const functional::ActivationParams& activation);
  using Module::operator();
  Tensor operator()(const Tensor& x, const Tensor& residual, const functional::ActivationParams& activation) {
    return call([&] { return forward(x, residual, activation); });
  }
  /// Without the bias, with the norm before it and the sums that the norm behind it asks for.
  Tensor forward(const functional::PendingNorm& x, kernels::ChannelTotals& totals);
  Tensor operator()(const functional::PendingNorm& x, kernels::ChannelTotals& totals) {
    return call([&] { return forward(x, totals); });
  }
  std::string describe() const override;

  const Conv2dOptions& options() const { return options_; }
  const Tensor& weight() const { return weight_; }
  const Tensor& bias() const { return bias_; }
  /// Takes these instead, which have the shapes of its own; a layer without bias gets one. Parameters that
  /// were handed out before are no longer its own.
  void replace(const Tensor& weight, const Tensor& bias);

 protected:
  bool takes_any_format() const override { return true; }

 private:
  Conv2dOptions options_;
  Tensor weight_, bias_;
  kernels::PackedWeight packed_;
};

struct ConvTranspose2dOptions {
  std::int64_t in_channels;
  std::int64_t out_channels;
  std::array<std::int64_t, 2> kernel;  ///< height, width
  functional::ConvTranspose2dParams params = {};
  bool bias = true;
  init::Scheme scheme = init::Scheme::Default;
};

/// Parameters: weight (C, O / groups, KH, KW), bias (O).
class ConvTranspose2d : public Module {
 public:
  /// Throws ArgumentError for sizes that are not positive, negative padding, output padding that is not less
  /// than the stride, groups that do not divide the channels.
  explicit ConvTranspose2d(const ConvTranspose2dOptions& options);
  Tensor forward(const Tensor& x) override;
  std::string describe() const override;

 protected:
  bool takes_any_format() const override { return true; }

 private:
  ConvTranspose2dOptions options_;
  Tensor weight_, bias_;
};

struct LinearOptions {
  std::int64_t in_features;
  std::int64_t out_features;
  bool bias = true;
  init::Scheme scheme = init::Scheme::Default;
  init::Scheme bias_scheme = scheme;
};

/// Parameters: weight (O, I), bias (O).
class Linear : public Module {
 public:
  /// Throws ArgumentError unless both sizes are positive.
  explicit Linear(const LinearOptions& options);
  Linear(std::int64_t in_features, std::int64_t out_features)
      : Linear(LinearOptions{in_features, out_features}) {}
  Tensor forward(const Tensor& x) override;
  /// activation(forward(x)).
  Tensor forward(const Tensor& x, const functional::ActivationParams& activation);
  using Module::operator();
  Tensor operator()(const Tensor& x, const functional::ActivationParams& activation) {
    return call([&] { return forward(x, activation); });
  }
  std::string describe() const override;

 private:
  LinearOptions options_;
  Tensor weight_, bias_;
};

class AvgPool2d : public Module {
 public:
  /// Throws ArgumentError for a kernel or stride below 1, or padding beyond half the kernel.
  explicit AvgPool2d(const functional::Pool2dParams& params = {});
  Tensor forward(const Tensor& x) override;
  std::string describe() const override;

 private:
  functional::Pool2dParams params_;
};

class MaxPool2d : public Module {
 public:
  /// Throws as AvgPool2d does.
  explicit MaxPool2d(const functional::Pool2dParams& params = {});
  Tensor forward(const Tensor& x) override;
  std::string describe() const override;

 private:
  functional::Pool2dParams params_;
};

/// To (N, C, height, width), by windows that divide the input evenly.
class AdaptiveAvgPool2d : public Module {
 public:
  explicit AdaptiveAvgPool2d(std::array<std::int64_t, 2> size = {1, 1}) : size_(size) {}
  Tensor forward(const Tensor& x) override { return functional::adaptive_avg_pool2d(x, size_); }
  std::string describe() const override;

 private:
  std::array<std::int64_t, 2> size_;
};

/// Any activation as a layer; those below are this with a name.
class ActivationLayer : public Module {
 public:
  /// Throws ArgumentError for a slope or alpha that is negative, a beta that is not positive, or one not
  /// finite.
  explicit ActivationLayer(const functional::ActivationParams& params);
  Tensor forward(const Tensor& x) override;
  const functional::ActivationParams& params() const { return params_; }
  std::string describe() const override;

 private:
  functional::ActivationParams params_;
};

class Relu6 : public ActivationLayer {
 public:
  Relu6() : ActivationLayer({.kind = functional::Activation::Relu6}) {}
};

class Silu : public ActivationLayer {
 public:
  Silu() : ActivationLayer({.kind = functional::Activation::Silu}) {}
};

class Gelu : public ActivationLayer {
 public:
  Gelu() : ActivationLayer({.kind = functional::Activation::Gelu}) {}
};

class HardSigmoid : public ActivationLayer {
 public:
  HardSigmoid() : ActivationLayer({.kind = functional::Activation::HardSigmoid}) {}
};

class HardSwish : public ActivationLayer {
 public:
  HardSwish() : ActivationLayer({.kind = functional::Activation::HardSwish}) {}
};

class Sigmoid : public ActivationLayer {
 public:
  Sigmoid() : ActivationLayer({.kind = functional::Activation::Sigmoid}) {}
};

class Tanh : public ActivationLayer {
 public:
  Tanh() : ActivationLayer({.kind = functional::Activation::Tanh}) {}
};

class Relu : public ActivationLayer {
 public:
  Relu() : ActivationLayer({.kind = functional::Activation::Relu}) {}
};

class LeakyRelu : public ActivationLayer {
 public:
  explicit LeakyRelu(float slope = 0.01f)
      : ActivationLayer({.kind = functional::Activation::LeakyRelu, .slope = slope}) {}
};

/// Drops elements with probability p in training only, with the masks of kernels::dropout_generator().
class Dropout : public Module {
 public:
  /// Throws ArgumentError unless 0 <= p <= 1.
  explicit Dropout(double p = 0.5);
  Tensor forward(const Tensor& x) override;
  std::string describe() const override;

 private:
  double p_;
};

/// Drops whole samples with probability p in training only (stochastic depth: Huang et al., 2016): for the
/// branch beside a residual connection. Masks as Dropout's.
class StochasticDepth : public Module {
 public:
  /// Throws ArgumentError unless 0 <= p <= 1.
  explicit StochasticDepth(double p);
  /// Whether forward() may drop anything now.
  bool active() const { return is_training() && p_ > 0; }
  Tensor forward(const Tensor& x) override;
  std::string describe() const override;

 private:
  double p_;
};

/// (N, ...) -> (N, product).
class Flatten : public Module {
 public:
  Flatten() = default;
  Tensor forward(const Tensor& x) override;
  std::string describe() const override;
};

/// Layers one after another, each named by its place: "0", "1", ...
class Sequential : public Module {
 public:
  Sequential() = default;
  /// Adds a layer at the end: net.add<Linear>(2, 8).add<Tanh>().
  template <typename Layer, typename... Arguments>
  Sequential& add(Arguments&&... arguments) {
    append(std::make_unique<Layer>(std::forward<Arguments>(arguments)...));
    return *this;
  }
  /// Throws ArgumentError for nullptr.
  void append(std::unique_ptr<Module> layer);
  /// Adds a block that stands for `places` layers, which a published model has one by one: it is registered
  /// inline, and names its children by their places, from place() on.
  void append_inline(std::unique_ptr<Module> block, std::size_t places);
  /// Of the next layer.
  std::size_t place() const { return place_; }
  Tensor forward(const Tensor& x) override;
  std::string describe() const override;

 private:
  std::vector<std::unique_ptr<Module>> layers_;
  std::size_t place_ = 0;
};

}  // namespace dlcuda

// What networks with batch normalisation are made of: a convolution, its norm, a residual and an activation,
// as one layer, so that it can be fused.
#pragma once

#include <memory>
#include <string>

#include "dlcuda/layers/layers.h"
#include "dlcuda/layers/normalization.h"

namespace dlcuda DLCUDA_API {

/// Conv2dOptions for a square kernel that keeps the picture's size at stride 1 (an odd kernel), or divides it
/// by the stride; without bias.
Conv2dOptions same_conv(std::int64_t in_channels, std::int64_t out_channels, std::int64_t kernel,
                        std::int64_t stride = 1, std::int64_t groups = 1);

/// The same convolution with a bias.
Conv2dOptions with_bias(Conv2dOptions conv);

struct ConvBnActOptions {
  Conv2dOptions conv;
  functional::ActivationParams activation{.kind = functional::Activation::Relu};
  double epsilon = 1e-5;
  double momentum = 0.1;
  /// The norm's weight begins at 0 instead of 1: a residual block that ends in it begins as its shortcut, and
  /// a deep network as a shallow one (Goyal et al., 2017).
  bool begins_at_zero = false;
  /// Of the children. Those of torchvision's Conv2dNormActivation; others where a model registers the block
  /// inline.
  std::string conv_name = "0", norm_name = "1";
};

/// What one ConvBnAct hands to the next: activation(norm(x)), left to the next one's convolution where that
/// can do it as it reads x, so that it is never written. Used once, while the block that made it lives.
class Pending {
 public:
  Pending(Tensor value) : raw_(std::move(value)) {}  // nothing is left to do

  /// Does what is left.
  Tensor value() const { return norm_ == nullptr ? raw_ : (*norm_)(raw_, {}, totals_); }

 private:
  friend class ConvBnAct;
  Pending(Tensor raw, kernels::ChannelTotals totals, BatchNorm2d& norm)
      : raw_(std::move(raw)), totals_(std::move(totals)), norm_(&norm) {}

  Tensor raw_;
  kernels::ChannelTotals totals_;
  BatchNorm2d* norm_ = nullptr;
};

/// activation(norm(conv(x)) + residual).
class ConvBnAct : public Module {
 public:
  /// Throws ArgumentError as Conv2d and BatchNorm2d do.
  explicit ConvBnAct(const ConvBnActOptions& options);
  Tensor forward(const Tensor& x) override { return forward(x, {}); }
  /// residual: undefined, or like the output. into: undefined, or where the output goes, without a residual
  /// and where writes_into().
  Tensor forward(const Pending& x, const Tensor& residual, const Tensor& into = {});
  using Module::operator();
  Tensor operator()(const Pending& x, const Tensor& residual, const Tensor& into = {}) {
    return call([&] { return forward(x, residual, into); });
  }
  /// Whether the output can go where it is told to: the norm writes it.
  bool writes_into() const { return !folded_ && norm_.params().activation.kind == options_.activation.kind; }
  /// The same without a residual, for another ConvBnAct.
  Pending pending(const Pending& x);
  std::string describe() const override;
  /// Makes the norm, with its running statistics, part of the convolution's weight and bias: what inference
  /// computes stays the same, the norm and its names are gone.
  void fold();
  bool is_folded() const { return folded_; }

 private:
  /// The convolution's output, with its totals where it has them for nothing.
  Tensor convolve(const Pending& x, kernels::ChannelTotals& totals);
  Tensor finish(const Tensor& raw, const Tensor& residual, const kernels::ChannelTotals& totals,
                const Tensor& into = {});

  ConvBnActOptions options_;
  bool folded_ = false;
  Conv2d conv_;
  BatchNorm2d norm_;
};

/// Folds the norm of every ConvBnAct in the model, which is faster in inference. The state of a folded model
/// has other names (conv.bias instead of bn.*). Returns how many were folded; those that are folded already
/// stay as they are.
std::int64_t fold_batch_norm(Module& model);

/// activation(conv(x)), one pass in inference.
class ConvAct : public Module {
 public:
  /// name: of the convolution. Throws ArgumentError as Conv2d and ActivationLayer do.
  ConvAct(const std::string& name, const Conv2dOptions& conv,
          const functional::ActivationParams& activation = {.kind = functional::Activation::Relu});
  Tensor forward(const Tensor& x) override { return conv_(x, {}, activation_.params()); }
  std::string describe() const override;

 private:
  Conv2d conv_;
  ActivationLayer activation_;
};

/// A module under one more name: what it holds is called "conv.0", say, and not "0". For published models
/// that wrap their blocks so.
class Nested : public Module {
 public:
  /// Throws ArgumentError for nullptr.
  Nested(const std::string& name, std::unique_ptr<Module> inner);
  Tensor forward(const Tensor& x) override { return (*inner_)(x); }
  std::string describe() const override { return inner_->describe(); }

 private:
  std::unique_ptr<Module> inner_;
};

/// x * sigmoid(fc2(silu(fc1(mean of each channel of x)))), with 1x1 convolutions (Hu et al., 2018; with SiLU
/// as EfficientNet has it). Children: fc1, fc2.
class SqueezeExcitation : public Module {
 public:
  SqueezeExcitation(std::int64_t channels, std::int64_t squeezed_channels);
  Tensor forward(const Tensor& x) override;  ///< (N, channels, H, W), which it keeps
  std::string describe() const override;

 private:
  std::int64_t channels_, squeezed_channels_;
  AdaptiveAvgPool2d average_;
  Conv2d fc1_, fc2_;
};

}  // namespace dlcuda

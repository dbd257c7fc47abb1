// The layers that normalise. Parameters and buffers are named as PyTorch's.
#pragma once

#include "dlcuda/layers/functional/normalization.h"
#include "dlcuda/layers/module.h"

namespace dlcuda DLCUDA_API {

/// Parameters: weight, bias (C). Buffers: running_mean, running_var (C), num_batches_tracked (i64).
class BatchNorm2d : public Module {
 public:
  /// params.activation, if any, follows in the same pass. Throws ArgumentError for channels below 1.
  explicit BatchNorm2d(std::int64_t channels, const functional::BatchNormParams& params = {});
  Tensor forward(const Tensor& x) override { return forward(x, {}); }
  /// activation(norm(x) + residual); totals of x, where somebody has them; into: where the result goes, if
  /// defined (functional::batch_norm_add()).
  Tensor forward(const Tensor& x, const Tensor& residual, const kernels::ChannelTotals& totals = {},
                 const Tensor& into = {});
  using Module::operator();
  Tensor operator()(const Tensor& x, const Tensor& residual, const kernels::ChannelTotals& totals = {},
                    const Tensor& into = {}) {
    return call([&] { return forward(x, residual, totals, into); });
  }
  std::string describe() const override;
  /// In training, unless weight and bias are frozen: then the running statistics serve, and do not move.
  bool uses_batch_statistics() const;
  /// What kernels::fold_batch_norm() takes.
  const functional::BatchNormTensors& tensors() const { return tensors_; }
  const functional::BatchNormParams& params() const { return params_; }

 protected:
  bool keeps_f32() const override { return true; }

 private:
  functional::BatchNormParams params_;
  functional::BatchNormTensors tensors_;
};

/// Parameters: weight, bias (C).
class GroupNorm : public Module {
 public:
  /// Throws ArgumentError unless groups divides the channels.
  GroupNorm(std::int64_t groups, std::int64_t channels, double epsilon = 1e-5);
  Tensor forward(const Tensor& x) override;
  std::string describe() const override;

 protected:
  bool keeps_f32() const override { return true; }

 private:
  std::int64_t groups_;
  double epsilon_;
  Tensor weight_, bias_;
};

/// Parameters: weight, bias of the normalised shape.
class LayerNorm : public Module {
 public:
  explicit LayerNorm(const Shape& normalized, double epsilon = 1e-5);
  Tensor forward(const Tensor& x) override;
  std::string describe() const override;

 protected:
  bool keeps_f32() const override { return true; }

 private:
  Shape normalized_;
  double epsilon_;
  Tensor weight_, bias_;
};

class LocalResponseNorm : public Module {
 public:
  explicit LocalResponseNorm(const functional::LocalResponseNormParams& params = {}) : params_(params) {}
  Tensor forward(const Tensor& x) override { return functional::local_response_norm(x, params_); }
  std::string describe() const override;

 private:
  functional::LocalResponseNormParams params_;
};

}  // namespace dlcuda

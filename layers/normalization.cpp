#include "dlcuda/layers/normalization.h"

#include <fmt/format.h>

#include "dlcuda/core/check.h"
#include "dlcuda/kernels/arithmetic.h"

namespace dlcuda {
namespace {

Tensor ones(const Shape& shape) {
  Tensor x = Tensor::empty(shape);
  kernels::fill(x, 1.0);
  return x;
}

}  // namespace

BatchNorm2d::BatchNorm2d(std::int64_t channels, const functional::BatchNormParams& params) : params_(params) {
  DLCUDA_CHECK(channels >= 1, ArgumentError, "BatchNorm2d: channels must be at least 1, got {}", channels);
  const Shape shape{channels};
  tensors_ = {ones(shape), Tensor::zeros(shape), Tensor::zeros(shape), ones(shape),
              Tensor::zeros(Shape{}, DType::I64)};
  register_parameter("weight", &tensors_.weight);
  register_parameter("bias", &tensors_.bias);
  register_buffer("running_mean", &tensors_.running_mean);
  register_buffer("running_var", &tensors_.running_var);
  register_buffer("num_batches_tracked", &tensors_.batches);
}

Tensor BatchNorm2d::forward(const Tensor& x, const Tensor& residual, const kernels::ChannelTotals& totals,
                            const Tensor& into) {
  return functional::batch_norm_add(x, residual, tensors_, uses_batch_statistics(), params_, totals, into);
}

bool BatchNorm2d::uses_batch_statistics() const {
  return is_training() && (tensors_.weight.requires_grad() || tensors_.bias.requires_grad());
}

std::string BatchNorm2d::describe() const { return fmt::format("BatchNorm2d({})", tensors_.weight.numel()); }

GroupNorm::GroupNorm(std::int64_t groups, std::int64_t channels, double epsilon)
    : groups_(groups), epsilon_(epsilon) {
  DLCUDA_CHECK(groups >= 1 && channels >= 1 && channels % groups == 0, ArgumentError,
               "GroupNorm: groups must divide the channels, got {} and {}", groups, channels);
  weight_ = ones({channels});
  bias_ = Tensor::zeros({channels});
  register_parameter("weight", &weight_);
  register_parameter("bias", &bias_);
}

Tensor GroupNorm::forward(const Tensor& x) {
  return functional::group_norm(x, groups_, weight_, bias_, epsilon_);
}

std::string GroupNorm::describe() const { return fmt::format("GroupNorm({}, {})", groups_, weight_.numel()); }

LayerNorm::LayerNorm(const Shape& normalized, double epsilon) : normalized_(normalized), epsilon_(epsilon) {
  weight_ = ones(normalized);
  bias_ = Tensor::zeros(normalized);
  register_parameter("weight", &weight_);
  register_parameter("bias", &bias_);
}

Tensor LayerNorm::forward(const Tensor& x) {
  return functional::layer_norm(x, normalized_, weight_, bias_, epsilon_);
}

std::string LayerNorm::describe() const { return fmt::format("LayerNorm({})", to_string(normalized_)); }

std::string LocalResponseNorm::describe() const { return fmt::format("LocalResponseNorm({})", params_.size); }

}  // namespace dlcuda

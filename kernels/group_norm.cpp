#include "dlcuda/kernels/group_norm.h"

#include "dlcuda/kernels/checks.h"
#include "dlcuda/kernels/dispatch.h"

namespace dlcuda::kernels {
namespace {

DType statistics_dtype(const Tensor& x) { return x.dtype() == DType::F64 ? DType::F64 : DType::F32; }

void require_data(const char* op, const char* name, const Tensor& x) {
  require_floating(op, name, x);
  DLCUDA_CHECK(x.rank() >= 2, ShapeError, "{}: {} must be (N, C, ...), got shape {}", op, name,
               to_string(x.shape()));
  require_dense(op, name, x);
}

void require_parameter(const char* op, const char* name, const Tensor& parameter, const Tensor& x,
                       const Shape& shape) {
  require_dtype(op, name, parameter, statistics_dtype(x));
  require_shape(op, name, parameter, shape);
  require_device(op, name, parameter, x.device());
  require_contiguous(op, name, parameter);
}

GroupNormLayout layout_of(const Tensor& x, std::int64_t groups) {
  std::int64_t inner = 1;
  for (int axis = 2; axis < x.rank(); ++axis) inner *= x.size(axis);
  return {x.size(0), x.size(1), inner, groups, x.is_channels_last() && !x.is_contiguous()};
}

}  // namespace

GroupNormOutput group_norm_forward(const Tensor& x, std::int64_t groups, const Tensor& weight,
                                   const Tensor& bias, double epsilon) {
  const char* op = "group_norm";
  require_data(op, "x", x);
  const Shape channels{x.size(1)};
  DLCUDA_CHECK(groups >= 1 && x.size(1) % groups == 0, ArgumentError,
               "group_norm: groups must divide the {} channels of x, got {}", x.size(1), groups);
  if (weight.defined()) require_parameter(op, "weight", weight, x, channels);
  if (bias.defined()) require_parameter(op, "bias", bias, x, channels);
  DLCUDA_CHECK(epsilon > 0, ArgumentError, "group_norm: epsilon must be positive, got {}", epsilon);

  const Shape each{x.size(0), groups};
  GroupNormOutput out{Tensor::empty_like(x), Tensor::empty(each, statistics_dtype(x), x.device()),
                      Tensor::empty(each, statistics_dtype(x), x.device())};
  DLCUDA_DISPATCH_LOOPS(x.device(), group_norm_forward, x.raw(), optional_view(weight), optional_view(bias),
                        out.y.raw(), out.mean.raw(), out.inverse_std.raw(), layout_of(x, groups), epsilon);
  return out;
}

GroupNormGradients group_norm_backward(const Tensor& dy, const Tensor& x, const Tensor& weight,
                                       const Tensor& mean, const Tensor& inverse_std) {
  const char* op = "group_norm_backward";
  require_data(op, "x", x);
  require_like(op, "dy", dy, "x", x);
  const Shape channels{x.size(1)};
  if (weight.defined()) require_parameter(op, "weight", weight, x, channels);
  require_rank(op, "mean", mean, 2);
  const Shape each{x.size(0), mean.size(1)};
  require_parameter(op, "mean", mean, x, each);
  require_parameter(op, "inverse_std", inverse_std, x, each);

  const GroupNormLayout layout = layout_of(x, mean.size(1));
  const DType dtype = statistics_dtype(x);
  GroupNormGradients gradients{Tensor::empty_like(x), Tensor::empty(channels, dtype, x.device()),
                               Tensor::empty(channels, dtype, x.device())};
  DLCUDA_DISPATCH_LOOPS(x.device(), group_norm_backward_data, dy.raw(), x.raw(), optional_view(weight),
                        mean.raw(), inverse_std.raw(), gradients.x.raw(), layout);
  DLCUDA_DISPATCH_LOOPS(x.device(), group_norm_backward_parameters, dy.raw(), x.raw(), mean.raw(),
                        inverse_std.raw(), gradients.weight.raw(), gradients.bias.raw(), layout);
  return gradients;
}

}  // namespace dlcuda::kernels

#include "dlcuda/kernels/linear.h"

#include "dlcuda/kernels/checks.h"
#include "dlcuda/kernels/dispatch.h"

namespace dlcuda::kernels {
namespace {

/// Most products of a layer. On the CPU, beyond it the library's blocking pays; on a GPU, its tensor cores.
constexpr std::int64_t kMostProducts = std::int64_t{1} << 22;

bool goes_with(const Tensor& x, const Tensor& like) {
  return x.dtype() == like.dtype() && x.device() == like.device();
}

void require_matrix(const char* op, const char* name, const Tensor& x) {
  require_floating(op, name, x);
  require_rank(op, name, x, 2);
  require_contiguous(op, name, x);
}

void require_partner(const char* op, const char* name, const Tensor& x, const Tensor& like) {
  require_matrix(op, name, x);
  require_dtype(op, name, x, like.dtype());
  require_device(op, name, x, like.device());
}

}  // namespace

bool is_small_linear(const Tensor& x, const Tensor& weight, const Tensor& bias) {
  if (!x.defined() || !weight.defined() || x.rank() != 2 || weight.rank() != 2 || x.numel() == 0 ||
      weight.numel() == 0 || x.size(1) != weight.size(1) || !goes_with(weight, x) || !x.is_contiguous() ||
      !weight.is_contiguous() ||
      (bias.defined() && !(goes_with(bias, x) && bias.shape() == Shape{weight.size(0)}))) {
    return false;
  }
  // oneDNN computes 16-bit products in 16 bits, our loops in f32.
  const bool ours =
      x.device().is_cuda() ? x.dtype() != DType::F64 : x.dtype() == DType::F32 || x.dtype() == DType::F64;
  return ours && is_floating_point(x.dtype()) && x.numel() <= kMostProducts / weight.size(0);
}

Tensor linear_forward(const Tensor& x, const Tensor& weight, const Tensor& bias,
                      const ActivationParams& activation) {
  const char* op = "linear_forward";
  require_matrix(op, "x", x);
  require_partner(op, "weight", weight, x);
  require_shape(op, "weight", weight, Shape{weight.size(0), x.size(1)});
  if (bias.defined()) {
    require_shape(op, "bias", bias, Shape{weight.size(0)});
    require_dtype(op, "bias", bias, x.dtype());
    require_device(op, "bias", bias, x.device());
  }
  Tensor y = Tensor::empty({x.size(0), weight.size(0)}, x.dtype(), x.device());
  if (y.numel() == 0) return y;
  DLCUDA_DISPATCH_LOOPS(x.device(), linear_forward, x.raw(), weight.raw(), optional_view(bias), y.raw(),
                        activation);
  return y;
}

LinearGradients linear_backward(const LinearBackward& layer, const ActivationParams& activation) {
  const char* op = "linear_backward";
  const auto& [dy, y, x, weight, with_bias] = layer;
  require_matrix(op, "dy", dy);
  DLCUDA_CHECK(!activation_saves_input(activation.kind), ArgumentError,
               "{}: the gradient of this activation needs its input; call activation_backward", op);
  if (y.defined() || activation.kind != Activation::Identity) require_like(op, "y", y, "dy", dy);
  LinearGradients gradients;
  if (weight.defined()) {
    require_partner(op, "weight", weight, dy);
    require_shape(op, "weight", weight, Shape{dy.size(1), weight.size(1)});
    gradients.x = Tensor::empty({dy.size(0), weight.size(1)}, dy.dtype(), dy.device());
  }
  if (x.defined()) {
    require_partner(op, "x", x, dy);
    require_shape(op, "x", x, Shape{dy.size(0), weight.defined() ? weight.size(1) : x.size(1)});
    gradients.weight = Tensor::empty({dy.size(1), x.size(1)}, dy.dtype(), dy.device());
  }
  if (with_bias) gradients.bias = Tensor::empty({dy.size(1)}, dy.dtype(), dy.device());
  if (dy.numel() == 0) {  // sums of nothing
    for (Tensor* gradient : {&gradients.x, &gradients.weight, &gradients.bias}) {
      if (gradient->defined()) gradient->zero();
    }
    return gradients;
  }
  DLCUDA_DISPATCH_LOOPS(dy.device(), linear_backward, dy.raw(), optional_view(y), optional_view(x),
                        optional_view(weight), optional_view(gradients.x), optional_view(gradients.weight),
                        optional_view(gradients.bias), activation);
  return gradients;
}

}  // namespace dlcuda::kernels

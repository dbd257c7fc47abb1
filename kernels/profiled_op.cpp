#include "dlcuda/kernels/profiled_op.h"

#include <algorithm>
#include <array>

namespace dlcuda::kernels {
namespace {

/// A convolution, by where its arguments stand: the picture whose every element meets every tap of the
/// filters, and the filters, whose axes after the first are the taps.
struct ConvolutionCost {
  std::string_view op;
  int picture, filters;
};
constexpr std::array<ConvolutionCost, 11> kConvolutions{{{"conv2d_forward", 3, 1},
                                                         {"conv2d_pool_forward", 3, 1},
                                                         {"conv2d_fused", 4, 1},
                                                         {"conv2d_backward_data", 0, 1},
                                                         {"conv2d_backward_weight", 1, 2},
                                                         {"conv2d_norm_forward", 3, 2},
                                                         {"conv2d_norm_backward_data", 0, 1},
                                                         {"conv2d_norm_backward_weight", 2, 3},
                                                         {"conv_transpose2d_forward", 0, 1},
                                                         {"conv_transpose2d_backward_data", 2, 1},
                                                         {"conv_transpose2d_backward_weight", 0, 2}}};

const TensorView* at(std::span<const profile_detail::Argument> tensors, int position) {
  const auto found = std::find_if(tensors.begin(), tensors.end(),
                                  [&](const auto& argument) { return argument.position == position; });
  return found == tensors.end() ? nullptr : &found->view;
}

double convolution_flops(const TensorView& picture, const TensorView& filters) {
  return 2.0 * double(picture.numel()) * double(filters.shape[1] * filters.shape[2] * filters.shape[3]);
}

/// a (M, K) or a batch of them, or transposed; out (M, N): every element of out is a sum of K products.
double matmul_flops(const TensorView& a, const TensorView& out) {
  const std::int64_t columns = out.shape[out.rank - 1];
  if (out.numel() == 0) return 0;
  const std::int64_t rows = out.numel() / columns;
  return 2.0 * double(out.numel()) * double(a.numel() / rows);
}

/// Every element of dy meets a row of x or of the weight for each gradient but the bias's.
double linear_backward_flops(const TensorView& dy, const TensorView* dx, const TensorView* dw) {
  double products = 0;
  for (const TensorView* gradient : {dx, dw}) {
    if (gradient != nullptr) products += double(dy.numel()) * double(gradient->shape[1]);
  }
  return 2.0 * products;
}

}  // namespace

double flops_of(std::string_view op, std::span<const profile_detail::Argument> tensors) {
  if (op == "matmul") {
    const TensorView *a = at(tensors, 0), *out = at(tensors, 3);
    return a != nullptr && out != nullptr ? matmul_flops(*a, *out) : 0;
  }
  if (op == "linear_forward") {
    const TensorView *x = at(tensors, 0), *y = at(tensors, 3);
    return x != nullptr && y != nullptr ? matmul_flops(*x, *y) : 0;
  }
  if (op == "linear_backward") {
    const TensorView* dy = at(tensors, 0);
    return dy != nullptr ? linear_backward_flops(*dy, at(tensors, 4), at(tensors, 5)) : 0;
  }
  if (op == "conv2d_pool_backward") {
    const TensorView *y = at(tensors, 1), *dx = at(tensors, 4), *dw = at(tensors, 5);
    return y != nullptr && dw != nullptr ? (dx != nullptr ? 2 : 1) * convolution_flops(*y, *dw) : 0;
  }
  for (const ConvolutionCost& cost : kConvolutions) {
    if (op != cost.op) continue;
    const TensorView *picture = at(tensors, cost.picture), *filters = at(tensors, cost.filters);
    if (picture == nullptr || filters == nullptr) return 0;
    return convolution_flops(*picture, *filters);
  }
  return 0;
}

double bytes_of(const TensorView& view) {
  double elements = 1;
  for (int axis = 0; axis < view.rank; ++axis) {
    if (view.strides[axis] != 0 || view.shape[axis] == 0) elements *= double(view.shape[axis]);
  }
  return elements * double(size_of(view.dtype));
}

}  // namespace dlcuda::kernels

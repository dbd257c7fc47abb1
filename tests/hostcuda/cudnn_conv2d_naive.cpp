// Stands in for kernels/cuda/cudnn_conv2d.cpp on the host shim: plain loops over strides, summed in f64 with
// the bias, and rounded once, after the activation.
#include "dlcuda/kernels/cuda/cudnn_conv2d.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <span>
#include <string>

#include "dlcuda/kernels/cuda/dtype.cuh"
#include "dlcuda/kernels/cuda/format.h"
#include "dlcuda/kernels/functors/activation.h"
#include "dlcuda/tests/hostcuda/naive.h"

namespace dlcuda::kernels::cuda {
namespace {

using hostcuda::load;
using hostcuda::Sums;

/// A convolution as tests/cuda/convolutions.json has it, for who counts (Work::detail).
std::string detail(const TensorView& x, const TensorView& weight, const TensorView& y,
                   const Conv2dParams& params, bool x_norm = false, bool y_totals = false) {
  const auto shape = [](const TensorView& view) { return std::span(view.shape, std::size_t(view.rank)); };
  return fmt::format(
      R"({{"x":{},"weight":{},"y":{},"stride":{},"padding":{},"dilation":{},"groups":{},"x_norm":{},"y_totals":{},"channels_last":{}}})",
      shape(x), shape(weight), shape(y), params.stride, params.padding, params.dilation, params.groups,
      x_norm, y_totals, is_channels_last(x) || is_channels_last(y));
}

/// visitor(place in x, place in weight, place in y) for every product that a convolution adds up.
template <typename Visitor>
void for_each_product(const TensorView& x, const TensorView& weight, const TensorView& y,
                      const Conv2dParams& params, const Visitor& visitor) {
  const auto position = [&](int axis, std::int64_t out, std::int64_t tap) {
    return out * params.stride[axis] - params.padding[axis] + tap * params.dilation[axis];
  };
  const std::int64_t outputs = weight.shape[0] / params.groups, inputs = weight.shape[1];
  for (std::int64_t n = 0; n < y.shape[0]; ++n) {
    for (std::int64_t o = 0; o < weight.shape[0]; ++o) {
      const std::int64_t first_channel = o / outputs * inputs;
      for (std::int64_t oh = 0; oh < y.shape[2]; ++oh) {
        for (std::int64_t ow = 0; ow < y.shape[3]; ++ow) {
          const std::int64_t to = n * y.strides[0] + o * y.strides[1] + oh * y.strides[2] + ow * y.strides[3];
          for (std::int64_t c = 0; c < inputs; ++c) {
            for (std::int64_t i = 0; i < weight.shape[2]; ++i) {
              const std::int64_t h = position(0, oh, i);
              if (h < 0 || h >= x.shape[2]) continue;
              for (std::int64_t j = 0; j < weight.shape[3]; ++j) {
                const std::int64_t w = position(1, ow, j);
                if (w < 0 || w >= x.shape[3]) continue;
                visitor(n * x.strides[0] + (first_channel + c) * x.strides[1] + h * x.strides[2] +
                            w * x.strides[3],
                        o * weight.strides[0] + c * weight.strides[1] + i * weight.strides[2] +
                            j * weight.strides[3],
                        to);
              }
            }
          }
        }
      }
    }
  }
}

template <typename T>
void add_bias(const TensorView& bias, const TensorView& y, Sums& sums) {
  for (std::int64_t place = 0; place < y.numel(); ++place) {
    sums[place] += load<T>(bias, place / y.strides[1] % y.shape[1]);
  }
}

/// relu(norm(x)) at a place of x, rounded as cuDNN hands it to its tensor cores.
template <typename T>
double normed(const TensorView& x, const NormViews& norm, std::int64_t place) {
  const std::int64_t c = place / x.strides[1] % x.shape[1];
  const T product = T(static_cast<float>(load<T>(x, place) * load<T>(norm.scale, c)));
  const T sum =
      T(static_cast<float>(static_cast<double>(static_cast<float>(product)) + load<T>(norm.shift, c)));
  return std::max(0.0, static_cast<double>(static_cast<float>(sum)));
}

}  // namespace

bool cudnn_conv2d_absorbs_norms(const Shape&, const Shape&, const Shape&, DType, const Conv2dParams&, bool) {
  return true;
}

void cudnn_conv2d_norm_forward(const TensorView& x, const NormViews& norm, const TensorView& weight,
                               const TensorView& y, const TensorView& sum, const TensorView& squares,
                               const Conv2dParams& params) {
  hostcuda::on_current_stream(
      "conv2d_norm_forward",
      [=] {
        visit_float("conv2d_norm_forward", x.dtype, [&]<typename T>() {
          Sums sums(y);
          for_each_product(x, weight, y, params, [&](std::int64_t in, std::int64_t tap, std::int64_t out) {
            const double value = norm.mean.data != nullptr ? normed<T>(x, norm, in) : load<T>(x, in);
            sums[out] += value * load<T>(weight, tap);
          });
          sums.store<T>();
          Sums total(sum), square(squares);
          for (std::int64_t place = 0; place < y.numel(); ++place) {
            const std::int64_t c = place / y.strides[1] % y.shape[1];
            const double value = load<T>(y, place);
            total[c] += value;
            square[c] += value * value;
          }
          total.store<float>();
          square.store<float>();
        });
      },
      detail(x, weight, y, params, norm.mean.data != nullptr, true));
}

void cudnn_conv2d_norm_backward_weight(const TensorView& x, const NormViews& norm, const TensorView& dy,
                                       const TensorView& dw, const Conv2dParams& params) {
  hostcuda::on_current_stream(
      "conv2d_norm_backward_weight",
      [=] {
        visit_float("conv2d_norm_backward_weight", x.dtype, [&]<typename T>() {
          Sums sums(dw);
          for_each_product(x, dw, dy, params, [&](std::int64_t in, std::int64_t tap, std::int64_t out) {
            sums[tap] += normed<T>(x, norm, in) * load<T>(dy, out);
          });
          sums.store<T>();
        });
      },
      detail(x, dw, dy, params, true));
}

void cudnn_conv2d_norm_backward_data(const TensorView& dy, const TensorView& weight, const TensorView& x,
                                     const NormViews& norm, const TensorView& dx,
                                     const TensorView& dnorm_weight, const TensorView& dnorm_bias,
                                     const Conv2dParams& params) {
  hostcuda::on_current_stream(
      "conv2d_norm_backward_data",
      [=] {
        visit_float("conv2d_norm_backward_data", x.dtype, [&]<typename T>() {
          Sums sums(dx), by_weight(dnorm_weight), by_bias(dnorm_bias);
          for_each_product(dx, weight, dy, params, [&](std::int64_t in, std::int64_t tap, std::int64_t out) {
            sums[in] += load<T>(dy, out) * load<T>(weight, tap);
          });
          for (std::int64_t place = 0; place < x.numel(); ++place) {
            const std::int64_t c = place / x.strides[1] % x.shape[1];
            const double value =
                (load<T>(x, place) - load<float>(norm.mean, c)) * load<float>(norm.inverse_std, c);
            if (value * load<float>(norm.weight, c) + load<float>(norm.bias, c) <= 0) sums[place] = 0;
            by_weight[c] += sums[place] * value;
            by_bias[c] += sums[place];
          }
          sums.store<T>();
          by_weight.store<float>();
          by_bias.store<float>();
        });
      },
      detail(x, weight, dy, params, true));
}

void cudnn_conv2d_forward(const TensorView& x, const TensorView& weight, const TensorView& bias,
                          const TensorView& y, const Conv2dParams& params,
                          const ActivationParams& activation) {
  hostcuda::on_current_stream(
      "conv2d_forward",
      [=] {
        visit_float("conv2d_forward", x.dtype, [&]<typename T>() {
          Sums sums(y);
          if (bias.data != nullptr) add_bias<T>(bias, y, sums);
          for_each_product(x, weight, y, params, [&](std::int64_t in, std::int64_t tap, std::int64_t out) {
            sums[out] += load<T>(x, in) * load<T>(weight, tap);
          });
          functors::visit_activation<double>(activation, [&](auto f) {
            for (std::int64_t place = 0; place < y.numel(); ++place) sums[place] = f.forward(sums[place]);
          });
          sums.store<T>();
        });
      },
      detail(x, weight, y, params));
}

void cudnn_conv2d_backward_data(const TensorView& dy, const TensorView& weight, const TensorView& dx,
                                const Conv2dParams& params) {
  hostcuda::on_current_stream(
      "conv2d_backward_data",
      [=] {
        visit_float("conv2d_backward_data", dy.dtype, [&]<typename T>() {
          Sums sums(dx);
          for_each_product(dx, weight, dy, params, [&](std::int64_t in, std::int64_t tap, std::int64_t out) {
            sums[in] += load<T>(dy, out) * load<T>(weight, tap);
          });
          sums.store<T>();
        });
      },
      detail(dx, weight, dy, params));
}

void cudnn_conv2d_backward_weight(const TensorView& x, const TensorView& dy, const TensorView& dw,
                                  const Conv2dParams& params) {
  hostcuda::on_current_stream(
      "conv2d_backward_weight",
      [=] {
        visit_float("conv2d_backward_weight", x.dtype, [&]<typename T>() {
          Sums sums(dw);
          for_each_product(x, dw, dy, params, [&](std::int64_t in, std::int64_t tap, std::int64_t out) {
            sums[tap] += load<T>(x, in) * load<T>(dy, out);
          });
          sums.store<T>();
        });
      },
      detail(x, dw, dy, params));
}

}  // namespace dlcuda::kernels::cuda

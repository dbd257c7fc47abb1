// Stands in for kernels/cuda/cudnn_conv2d.cpp on the host shim: plain loops over strides, summed in f64 with
// the bias, and rounded once, after the activation.
#include "dlcuda/kernels/cuda/cudnn_conv2d.h"

#include "dlcuda/kernels/cuda/dtype.cuh"
#include "dlcuda/kernels/functors/activation.h"
#include "dlcuda/tests/hostcuda/naive.h"

namespace dlcuda::kernels::cuda {
namespace {

using hostcuda::load;
using hostcuda::Sums;

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

}  // namespace

void cudnn_conv2d_forward(const TensorView& x, const TensorView& weight, const TensorView& bias,
                          const TensorView& y, const Conv2dParams& params,
                          const ActivationParams& activation) {
  hostcuda::on_current_stream("conv2d_forward", [=] {
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
  });
}

void cudnn_conv2d_backward_data(const TensorView& dy, const TensorView& weight, const TensorView& dx,
                                const Conv2dParams& params) {
  hostcuda::on_current_stream("conv2d_backward_data", [=] {
    visit_float("conv2d_backward_data", dy.dtype, [&]<typename T>() {
      Sums sums(dx);
      for_each_product(dx, weight, dy, params, [&](std::int64_t in, std::int64_t tap, std::int64_t out) {
        sums[in] += load<T>(dy, out) * load<T>(weight, tap);
      });
      sums.store<T>();
    });
  });
}

void cudnn_conv2d_backward_weight(const TensorView& x, const TensorView& dy, const TensorView& dw,
                                  const Conv2dParams& params) {
  hostcuda::on_current_stream("conv2d_backward_weight", [=] {
    visit_float("conv2d_backward_weight", x.dtype, [&]<typename T>() {
      Sums sums(dw);
      for_each_product(x, dw, dy, params, [&](std::int64_t in, std::int64_t tap, std::int64_t out) {
        sums[tap] += load<T>(x, in) * load<T>(dy, out);
      });
      sums.store<T>();
    });
  });
}

}  // namespace dlcuda::kernels::cuda

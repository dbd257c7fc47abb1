// A convolution, its activation and an average pooling as one step: what LeNet-5 is made of.
#pragma once

#include "dlcuda/layers/layers.h"

namespace dlcuda DLCUDA_API {

namespace functional DLCUDA_API {

struct PooledConvolution {
  Tensor y;       ///< activation(conv2d(...)); takes no gradient, which goes through `pooled`
  Tensor pooled;  ///< avg_pool2d(y): 2 x 2 windows, 2 apart
};
/// Differentiable by x, weight and bias; in fewer passes than its parts (kernels/conv2d_pool.h). Shapes and
/// errors are those of conv2d() and avg_pool2d().
PooledConvolution conv2d_pool(const Tensor& x, const Tensor& weight, const Tensor& bias,
                              const Conv2dParams& params, const ActivationParams& activation);

}  // namespace functional

/// Average pooling of 2 x 2 windows, 2 apart, by itself or as the end of a PooledConv2d.
class HalvingPool : public AvgPool2d {
 public:
  HalvingPool() : AvgPool2d({.kernel = {2, 2}, .stride = {2, 2}}) {}
  /// Stands for operator() where the result is there already: whoever observes the model sees this layer,
  /// too.
  Tensor pass(const Tensor& pooled) {
    return call([&] { return pooled; });
  }
};

/// A convolution that may run together with what is behind it.
class PooledConv2d : public Conv2d {
 public:
  using Conv2d::Conv2d;
  using Conv2d::operator();
  /// pool(activation(forward(x))) as one step.
  Tensor operator()(const Tensor& x, const functional::ActivationParams& activation, HalvingPool& pool);
};

}  // namespace dlcuda

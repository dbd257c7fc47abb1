#include "dlcuda/models/yolov2/darknet_layers.h"

#include <array>
#include <limits>

#include "dlcuda/layers/functional.h"

namespace dlcuda {

ConvBnActOptions darknet_conv(std::int64_t in_channels, std::int64_t out_channels, std::int64_t kernel,
                              double momentum) {
  return {.conv = same_conv(in_channels, out_channels, kernel),
          .activation = {.kind = functional::Activation::LeakyRelu, .slope = 0.1f},
          .epsilon = 1e-5,
          .momentum = momentum};
}

Tensor NeighborMaxPool::forward(const Tensor& x) {
  constexpr std::array<functional::AxisPadding, 4> kBelowAndRight{{{}, {}, {0, 1}, {0, 1}}};
  const Tensor padded = functional::pad(x, kBelowAndRight, -std::numeric_limits<double>::infinity());
  return functional::max_pool2d(padded, {.kernel = {2, 2}, .stride = {1, 1}});
}

}  // namespace dlcuda

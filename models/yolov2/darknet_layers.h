// The layers that Darknet's networks are made of.
#pragma once

#include <cstdint>

#include "dlcuda/core/macros.h"
#include "dlcuda/layers/blocks.h"

namespace dlcuda DLCUDA_API {

/// Convolution without bias, batch norm, LeakyReLU with slope 0.1. The norm divides by sqrt(variance + 1e-5),
/// as Darknet does on GPUs since March 2017; on the CPU it divides by sqrt(variance) + 1e-6. momentum: share
/// of a new batch in the running statistics, 0.01 in Darknet.
ConvBnActOptions darknet_conv(std::int64_t in_channels, std::int64_t out_channels, std::int64_t kernel,
                              double momentum);

/// The maximum of each pixel and its right and lower neighbours: Darknet's max-pooling of size 2 and stride
/// 1, which pads on these sides only. Keeps the shape.
class NeighborMaxPool : public Module {
 public:
  Tensor forward(const Tensor& x) override;
  std::string describe() const override { return "NeighborMaxPool(2x2, stride 1)"; }
};

}  // namespace dlcuda

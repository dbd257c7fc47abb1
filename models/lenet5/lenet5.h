// LeCun, Bottou, Bengio, Haffner: "Gradient-Based Learning Applied to Document Recognition", 1998.
//
// LeNet-5 as it is taught: plain average pooling without weights, every map of the second convolution
// connected to all of the first, a linear layer instead of the radial basis functions at the end. 61,706
// parameters.
#pragma once

#include <cstdint>
#include <vector>

#include "dlcuda/core/macros.h"
#include "dlcuda/layers/conv_pool.h"
#include "dlcuda/models/zoo.h"

namespace dlcuda DLCUDA_API {

struct LeNet5Config {
  std::int64_t in_channels = 1;
  std::int64_t classes = 10;
  init::Scheme scheme = init::Scheme::XavierUniform;
};

/// Images (N, in_channels, 32, 32) -> logits (N, classes).
class LeNet5 : public Module {
 public:
  static constexpr std::int64_t kInputSide = 32;

  explicit LeNet5(const LeNet5Config& config = {});
  Tensor forward(const Tensor& x) override;
  std::string describe() const override { return "LeNet-5"; }

 private:
  PooledConv2d conv1_, conv2_;
  HalvingPool pool_;
  Linear fc1_, fc2_, fc3_;
};

std::vector<ZooModel> lenet5_models();

}  // namespace dlcuda

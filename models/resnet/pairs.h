// The names that ResNets give to a convolution and its norm. Internal.
#pragma once

#include <string>

#include "dlcuda/layers/blocks.h"

namespace dlcuda {

/// "conv1" and "bn1".
inline ConvBnActOptions numbered_pair(int number, const Conv2dOptions& conv,
                                      const functional::ActivationParams& activation = {
                                          .kind = functional::Activation::Relu}) {
  const std::string text = std::to_string(number);
  return {.conv = conv, .activation = activation, .conv_name = "conv" + text, .norm_name = "bn" + text};
}

}  // namespace dlcuda

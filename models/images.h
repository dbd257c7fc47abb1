// What image models say about pictures that they cannot take, before a layer deep inside does. Internal.
#pragma once

#include <cstdint>

#include "dlcuda/layers/module.h"

namespace dlcuda {

/// Throws ShapeError unless x is (N, channels, H, W) with at least `least` rows and columns.
void check_images(const Module& model, const Tensor& x, std::int64_t channels, std::int64_t least);

}  // namespace dlcuda

// A model whose values are not those of a fresh one: what batch norms and biases do shows, and signals keep
// their size on the way through many layers.
#pragma once

#include <cmath>
#include <cstdint>

#include "dlcuda/layers/init.h"
#include "dlcuda/layers/module.h"
#include "dlcuda/tests/support/random_tensor.h"

namespace dlcuda::testing {

/// Weights of layers with a variance of 1 / fan_in; biases and running means U[-0.5, 0.5); weights of norms
/// and running variances U[0.5, 1.5).
inline void stir(Module& module) {
  std::uint32_t ordinal = 0;
  NamedTensors state;
  for (const auto& [name, tensor] : module.state_dict()) {
    const Shape& shape = tensor.shape();
    double low = name.ends_with("running_var") || name.ends_with("weight") ? 0.5 : -0.5, width = 1;
    if (shape.rank() >= 2) {
      low = -std::sqrt(3.0 / static_cast<double>(init::fans(shape).in));
      width = -2 * low;
    }
    ++ordinal;
    state.emplace_back(
        name, shape.rank() >= 1 ? random_tensor(shape, ordinal, DType::F32, low, low + width) : tensor);
  }
  module.load_state_dict(state);
}

}  // namespace dlcuda::testing

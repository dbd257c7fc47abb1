// A model whose vectors are not those of a fresh one: what batch norms and biases do shows.
#pragma once

#include <cstdint>

#include "dlcuda/layers/module.h"
#include "dlcuda/tests/support/random_tensor.h"

namespace dlcuda::testing {

/// Biases and running means U[-0.5, 0.5), weights of norms and running variances U[0.5, 1.5).
inline void stir(Module& module) {
  std::uint32_t ordinal = 0;
  NamedTensors state;
  for (const auto& [name, tensor] : module.state_dict()) {
    ++ordinal;
    const double low = name.ends_with("running_var") || name.ends_with("weight") ? 0.5 : -0.5;
    state.emplace_back(
        name, tensor.rank() == 1 ? random_tensor(tensor.shape(), ordinal, DType::F32, low, low + 1) : tensor);
  }
  module.load_state_dict(state);
}

}  // namespace dlcuda::testing

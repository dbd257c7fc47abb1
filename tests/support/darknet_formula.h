// Weights and pictures that follow from a formula: tests/reference/darknet.py computes the same.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include "dlcuda/layers/module.h"

namespace dlcuda {

/// Number i of array t: at least 0, less than 1.
inline double formula_number(std::uint64_t t, std::uint64_t i) {
  std::uint64_t h = (i + 1 + t * 1000003) * 2654435761u & 0xFFFFFFFFu;
  h = (h ^ (h >> 16)) * 2246822519u & 0xFFFFFFFFu;
  h ^= h >> 13;
  return double(h >> 8) * 0x1p-24;
}

struct FormulaFile {
  std::vector<std::byte> bytes;  ///< version 0.2.0
  std::uint64_t arrays = 0;
};

/// The Darknet weights of a module made of convolutions and norms, in order of registration.
inline FormulaFile formula_weights(const Module& module) {
  FormulaFile file;
  file.bytes.resize(20);
  file.bytes[4] = std::byte{2};
  const auto add = [&](std::int64_t count, double scale, double shift) {
    for (std::int64_t i = 0; i < count; ++i) {
      const auto value = float((formula_number(file.arrays, std::uint64_t(i)) + shift) * scale);
      file.bytes.resize(file.bytes.size() + sizeof value);
      std::memcpy(file.bytes.data() + file.bytes.size() - sizeof value, &value, sizeof value);
    }
    ++file.arrays;
  };
  const NamedTensors parameters = module.parameters();
  for (std::size_t p = 0; p < parameters.size(); ++p) {
    const Shape& shape = parameters[p].second.shape();
    if (shape.rank() != 4) continue;
    const bool norm = p + 2 < parameters.size() && parameters[p + 2].second.rank() == 1;
    add(shape[0], 0.5, -0.5);  // bias
    if (norm) {
      add(shape[0], 1, 0.5);     // gamma
      add(shape[0], 0.5, -0.5);  // mean
      add(shape[0], 1, 0.5);     // variance
    }
    add(shape.numel(), std::sqrt(12.0 / double(shape[1] * shape[2] * shape[3])), -0.5);
  }
  return file;
}

}  // namespace dlcuda

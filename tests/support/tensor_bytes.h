// A tensor's elements in logical order, to be compared bit for bit.
#pragma once

#include <cstddef>
#include <vector>

#include "dlcuda/core/tensor.h"

namespace dlcuda {

inline std::vector<std::byte> bytes_of(const Tensor& tensor) {
  std::vector<std::byte> bytes(tensor.nbytes());
  tensor.copy_to_host(bytes.data());
  return bytes;
}

}  // namespace dlcuda

// TensorView: what kernels take. A plain struct without ownership, the same on host and device.
#pragma once

#include <cstdint>

#include "dlcuda/core/dtype.h"
#include "dlcuda/core/shape.h"

namespace dlcuda DLCUDA_API {

/// Pointer, extents and strides (in elements). Logical order is N, C, H, W whatever the strides say.
struct TensorView {
  void* data = nullptr;
  std::int64_t shape[kMaxRank] = {};
  std::int64_t strides[kMaxRank] = {};
  int rank = 0;
  DType dtype = DType::F32;

  template <typename T>
  DLCUDA_HD T* as() const {
    return static_cast<T*>(data);
  }
  DLCUDA_HD std::int64_t numel() const {
    std::int64_t product = 1;
    for (int axis = 0; axis < rank; ++axis) product *= shape[axis];
    return product;
  }
};

}  // namespace dlcuda

// Many tensors in one launch: each block works on a chunk of one of them, and looks up which.
#pragma once

#include <limits>

#include "dlcuda/kernels/cuda/launch.cuh"

namespace dlcuda::kernels::cuda {
namespace {

/// Part of a kernel's parameters, beside the addresses of as many tensors.
template <int kMost, std::int64_t kChunk>
struct TensorList {
  std::int64_t count[kMost];  // elements
  std::int32_t first_block[kMost];
  std::int32_t tensors;
  std::int32_t blocks;

  struct Chunk {
    std::int64_t begin;
    int count;
  };

  static std::int64_t chunks(std::int64_t elements) { return elements / kChunk + (elements % kChunk != 0); }
  bool has_room(std::int64_t elements) const {
    return tensors < kMost && blocks + chunks(elements) <= std::numeric_limits<std::int32_t>::max();
  }
  /// Where the other arrays are to hold the tensor.
  int add(std::int64_t elements) {
    count[tensors] = elements;
    first_block[tensors] = blocks;
    blocks += static_cast<std::int32_t>(chunks(elements));
    return tensors++;
  }
  void clear() { tensors = blocks = 0; }

  /// The last tensor that begins at this block or before.
  __device__ int tensor_of(int block) const {
    int low = 0;
    for (int high = tensors; high - low > 1;) {
      const int middle = (low + high) / 2;
      (first_block[middle] <= block ? low : high) = middle;
    }
    return low;
  }
  __device__ Chunk chunk_of(int block, int tensor) const {
    const std::int64_t begin = (block - first_block[tensor]) * kChunk, left = count[tensor] - begin;
    return {begin, static_cast<int>(left < kChunk ? left : kChunk)};
  }
};

}  // namespace
}  // namespace dlcuda::kernels::cuda

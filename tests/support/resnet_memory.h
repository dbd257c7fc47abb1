// What training a ResNet-50 asks of an allocator, from arithmetic: no tensor is made.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace dlcuda {

struct MemoryOperation {
  std::uint32_t slot;  ///< of a caller's table
  std::size_t bytes;   ///< to allocate into the slot; 0: free what it holds
};

struct ResNetMemoryOptions {
  std::int64_t batch = 8;
  std::int64_t side = 224;  ///< of the square pictures
  int steps = 2;
  /// Batch norm, residual and ReLU in one pass, as the zoo's blocks have them; else each part keeps its
  /// output.
  bool fused = true;
  /// Bytes of an activation's element: 4 in f32, 2 in 16-bit precision.
  std::size_t element = 4;
};

struct ResNetMemory {
  std::vector<MemoryOperation> operations;
  std::vector<std::size_t> steps;  ///< where each step's operations begin; one more: where the last one's end
  std::uint32_t slots = 0;         ///< in use at most: all slots are below
};

/// Parameters and Adam's states are made, steps of forward, backward and update run in the order in which
/// autograd runs them, then everything is freed. Pictures in f32 come anew in each step, gradients stay until
/// the next step's replace them, convolutions take workspaces.
ResNetMemory resnet50_memory(const ResNetMemoryOptions& options);

}  // namespace dlcuda

// The memory-bound operations at realistic shapes, with the bytes that they cannot do without: for the
// traffic that the host shim counts, and for benchmarks.
#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <string>
#include <vector>

#include "dlcuda/core/tensor.h"

namespace dlcuda::testing {

struct KernelCase {
  std::string name;       ///< "batch_norm training, 4x64x32x32 bf16"
  std::string operation;  ///< the part of the name before the comma
  double necessary = 0;   ///< bytes: each input and each output once, and what the algorithm reads again
  std::function<void()> run;
  double flops = 0;  ///< of what takes its time for arithmetic
  // What the count on the shim is held to, at scale 1.
  double least = 0.95;          ///< fewest bytes moved, in necessary ones: below, the count would be wrong
  double limit = 1.1;           ///< most of them
  double distinct_limit = 1.1;  ///< most, where the L2 serves what another block has fetched
  std::string reason{};         ///< why a limit is another, or what is necessary beside inputs and outputs

  void allow(double most, const char* why, double distinct = 1.1) {
    limit = most;
    distinct_limit = distinct;
    reason = why;
  }
};

double bytes(std::initializer_list<Tensor> tensors);
/// What a kernel reads must have been written, and these kernels do the same work for any values.
Tensor zeros(const Shape& shape, DType dtype, Device device, MemoryFormat format = MemoryFormat::Contiguous);

/// Cases that share their tensors. These are made by the call, so that no more than one family's need memory.
struct KernelFamily {
  std::string name;
  std::function<std::vector<KernelCase>()> make;
};

/// At scale 1 a tensor of pictures has 2^18 elements: all of a case's fit into a cache. Batches and counts
/// grow in proportion to the scale.
std::vector<KernelFamily> kernel_families(Device device, std::int64_t scale);

}  // namespace dlcuda::testing

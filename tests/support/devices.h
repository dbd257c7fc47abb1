// What operations are tested on: every device there is, the floating-point dtypes it computes, both memory
// formats.
#pragma once

#include <string>
#include <vector>

#include "dlcuda/core/device.h"
#include "dlcuda/core/dtype.h"
#include "dlcuda/core/shape.h"

namespace dlcuda::testing {

/// The CPU, and the first CUDA device if there is one (a GPU, or the host shim where it is linked in). With
/// DLCUDA_REQUIRE_CUDA=1 a missing one fails the calling test.
std::vector<Device> test_devices();

/// A CUDA device for tests that compare with it; where there is none: the reason, to skip with.
struct CudaForTest {
  bool available;
  std::string reason;
};
CudaForTest cuda_for_test();

struct Variant {
  Device device;
  DType dtype;
  MemoryFormat format;
};
std::string to_string(const Variant& variant);

/// Devices x (f32, f16, bf16, and f64 on the CPU) x formats; channels-last only if asked for.
std::vector<Variant> variants(bool channels_last);

}  // namespace dlcuda::testing

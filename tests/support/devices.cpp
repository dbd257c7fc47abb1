#include "dlcuda/tests/support/devices.h"

#include <gtest/gtest.h>

#include <cstdlib>

namespace dlcuda::testing {

CudaForTest cuda_for_test() {
  const CudaProbe& probe = cuda_probe();
  const char* required = std::getenv("DLCUDA_REQUIRE_CUDA");
  if (probe.count == 0 && required && std::string(required) == "1") {
    ADD_FAILURE() << "DLCUDA_REQUIRE_CUDA=1, but: " << probe.reason;
  }
  return {probe.count > 0, probe.reason};
}

std::vector<Device> test_devices() {
  std::vector<Device> devices{Device::cpu()};
  if (cuda_for_test().available) devices.push_back(Device::cuda());
  return devices;
}

std::string to_string(const Variant& variant) {
  return to_string(variant.device) + " " + to_string(variant.dtype) + " " + to_string(variant.format);
}

std::vector<Variant> variants(bool channels_last) {
  std::vector<Variant> all;
  for (const Device device : test_devices()) {
    for (const DType dtype : {DType::F32, DType::F64, DType::F16, DType::BF16}) {
      if (dtype == DType::F64 && device.is_cuda()) continue;
      all.push_back({device, dtype, MemoryFormat::Contiguous});
      if (channels_last) all.push_back({device, dtype, MemoryFormat::ChannelsLast});
    }
  }
  return all;
}

}  // namespace dlcuda::testing

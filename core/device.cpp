#include "dlcuda/core/device.h"

#include <charconv>

#include "dlcuda/core/check.h"
#include "dlcuda/core/cuda/runtime.h"

namespace dlcuda {

std::string to_string(Device device) {
  return device.is_cpu() ? "cpu" : "cuda:" + std::to_string(device.index);
}

const CudaProbe& cuda_probe() {
  static const CudaProbe probe = cuda::probe();
  return probe;
}

DeviceChoice choose_device(std::string_view name, bool require_gpu) {
  int index = 0;
  bool want_cuda = require_gpu;
  if (name.starts_with("cuda")) {
    want_cuda = true;
    const auto rest = name.substr(4);
    if (!rest.empty()) {
      const auto* end = rest.data() + rest.size();
      const auto parsed = std::from_chars(rest.data() + 1, end, index);
      DLCUDA_CHECK(rest[0] == ':' && parsed.ec == std::errc() && parsed.ptr == end && index >= 0,
                   ArgumentError, "unknown device '{}': expected auto, cpu, cuda or cuda:<index>", name);
    }
  } else {
    DLCUDA_CHECK(name == "cpu" || name == "auto", ArgumentError,
                 "unknown device '{}': expected auto, cpu, cuda or cuda:<index>", name);
    DLCUDA_CHECK(!(name == "cpu" && require_gpu), ArgumentError,
                 "device 'cpu' was chosen and a GPU is required: drop one of the two");
  }
  if (name == "cpu") return {Device::cpu(), "chosen"};

  const CudaProbe& found = cuda_probe();
  if (index < found.count) {
    return {Device::cuda(index), found.names[std::size_t(index)]};
  }
  if (!want_cuda) return {Device::cpu(), found.reason};
  if (found.count == 0) {
    DLCUDA_THROW(DeviceError,
                 "no CUDA device: looked for {}; found: {}. Use --device cpu, or --device auto to take "
                 "what is there",
                 found.looked_for, found.reason);
  }
  DLCUDA_THROW(DeviceError, "no device cuda:{}: found {} CUDA device(s): {}", index, found.count,
               fmt::join(found.names, "; "));
}

}  // namespace dlcuda

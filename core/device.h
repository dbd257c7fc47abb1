// Devices: which there are, and why there are not more.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "dlcuda/core/macros.h"

namespace dlcuda DLCUDA_API {

enum class DeviceType : std::uint8_t { CPU, CUDA };

struct Device {
  DeviceType type = DeviceType::CPU;
  int index = 0;

  static constexpr Device cpu() { return {DeviceType::CPU, 0}; }
  static constexpr Device cuda(int index = 0) { return {DeviceType::CUDA, index}; }
  constexpr bool is_cpu() const { return type == DeviceType::CPU; }
  constexpr bool is_cuda() const { return type == DeviceType::CUDA; }
  constexpr bool operator==(const Device&) const = default;
};

/// "cpu", "cuda:0"
std::string to_string(Device device);

/// What asking for CUDA devices gave. Asked once per process.
struct CudaProbe {
  int count = 0;
  std::string reason;              ///< when count is 0: "no CUDA driver found", "built without CUDA", ...
  std::string looked_for;          ///< what was looked for, for the error message of --device cuda
  std::string built_for;           ///< CUDA version of this build: "12.6"; empty: built without CUDA
  std::string driver;              ///< the newest CUDA version that the driver supports; empty: no driver
  std::vector<std::string> names;  ///< "NVIDIA H200 (compute capability 9.0, 141 GB)", one for each device
};
const CudaProbe& cuda_probe();

/// A device that a user named: "auto", "cpu", "cuda", "cuda:1".
struct DeviceChoice {
  Device device;
  std::string reason;  ///< "no CUDA driver found", "NVIDIA H200 (...)", "chosen"
  /// "cpu (no CUDA driver found)", "cuda:0 (NVIDIA H200, ...)"
  std::string description = to_string(device) + " (" + reason + ")";
};
/// "auto" takes the first CUDA device if there is one. Throws ArgumentError for another word, DeviceError
/// when CUDA is asked for (or required) and missing; the message says what was looked for and what was found.
DeviceChoice choose_device(std::string_view name, bool require_gpu = false);

}  // namespace dlcuda

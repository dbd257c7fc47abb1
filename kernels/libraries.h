// The libraries that compute for this one, and those that it looked for in vain.
#pragma once

#include <string>
#include <vector>

#include "dlcuda/core/macros.h"

namespace dlcuda {
namespace kernels DLCUDA_API {

struct LibraryInfo {
  std::string name;     ///< "oneDNN"
  std::string purpose;  ///< "convolutions and matrix products on the CPU"
  std::string version;  ///< "2.6.3"; empty where it was not found
  std::string reason;   ///< why it was not found
};

/// oneDNN, cuBLASLt, cuDNN. Opens the latter two, if that has not been done.
std::vector<LibraryInfo> libraries();

/// Those of the CUDA side.
namespace cuda __attribute__((visibility("hidden"))) {
  std::vector<LibraryInfo> libraries();
}

}  // namespace kernels
}  // namespace dlcuda

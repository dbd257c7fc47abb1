// What this library was built as.
#pragma once

#include <string>

#include "dlcuda/core/macros.h"

namespace dlcuda DLCUDA_API {

struct BuildInfo {
  std::string version;   ///< of libdlcuda: "0.1.0"
  std::string compiler;  ///< "GCC 12.2.0"
  std::string type;      ///< CMake's build type: "Release"
};
const BuildInfo& build_info();

}  // namespace dlcuda

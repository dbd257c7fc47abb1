#include "dlcuda/core/build.h"

namespace dlcuda {

const BuildInfo& build_info() {
#if defined(__clang__)
  static const BuildInfo info{DLCUDA_VERSION, "Clang " __clang_version__, DLCUDA_BUILD_TYPE};
#else
  static const BuildInfo info{DLCUDA_VERSION, "GCC " __VERSION__, DLCUDA_BUILD_TYPE};
#endif
  return info;
}

}  // namespace dlcuda

#include "dlcuda/kernels/libraries.h"

#include <fmt/format.h>

#include <dnnl.hpp>

namespace dlcuda::kernels {

std::vector<LibraryInfo> libraries() {
  const dnnl::version_t& onednn = *dnnl::version();
  std::vector<LibraryInfo> all{{.name = "oneDNN",
                                .purpose = "convolutions and matrix products on the CPU",
                                .version = fmt::format("{}.{}.{}", onednn.major, onednn.minor, onednn.patch),
                                .reason = {}}};
  for (LibraryInfo& library : cuda::libraries()) all.push_back(std::move(library));
  return all;
}

}  // namespace dlcuda::kernels

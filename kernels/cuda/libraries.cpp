#include "dlcuda/kernels/libraries.h"

#include "dlcuda/core/check.h"
#include "dlcuda/kernels/cuda/library.h"

namespace dlcuda::kernels::cuda {
namespace {

/// Both libraries count version 9.1.2 as 90102.
LibraryInfo look(const char* name, const char* purpose, void* (*open)(), const char* version_function) {
  LibraryInfo info{.name = name, .purpose = purpose, .version = {}, .reason = {}};
  try {
    auto* const version = reinterpret_cast<std::size_t (*)()>(find_symbol(open(), name, version_function));
    const std::size_t number = version();
    info.version = fmt::format("{}.{}.{}", number / 10000, number / 100 % 100, number % 100);
  } catch (const DeviceError& error) {
    info.reason = error.what();
  }
  return info;
}

}  // namespace

std::vector<LibraryInfo> libraries() {
  return {look("cuBLASLt", "matrix products on NVIDIA GPUs", open_cublaslt, "cublasLtGetVersion"),
          look("cuDNN", "convolutions on NVIDIA GPUs", open_cudnn_library, "cudnnGetVersion")};
}

}  // namespace dlcuda::kernels::cuda

#include "dlcuda/kernels/cuda/library.h"

#include <dlfcn.h>

#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "dlcuda/core/check.h"

namespace dlcuda::kernels::cuda {
namespace {

std::vector<std::string> directories() {
  std::vector<std::string> result;
  const char* path = std::getenv("DLCUDA_LIBRARY_PATH");
  for (std::string_view rest = path ? path : ""; !rest.empty();) {
    const std::size_t colon = rest.find(':');
    if (colon != 0) result.emplace_back(rest.substr(0, colon));
    rest = colon == std::string_view::npos ? std::string_view{} : rest.substr(colon + 1);
  }
  return result;
}

}  // namespace

void* open_library(const char* purpose, std::initializer_list<const char*> names) {
  std::vector<std::string> candidates;
  for (const std::string& directory : directories()) {
    for (const char* name : names) candidates.push_back(directory + "/" + name);
  }
  candidates.insert(candidates.end(), names.begin(), names.end());
  std::string tried;
  for (const std::string& candidate : candidates) {
    if (void* library = ::dlopen(candidate.c_str(), RTLD_NOW | RTLD_LOCAL)) return library;
    const char* reason = ::dlerror();
    tried += fmt::format("\n  {}: {}", candidate, reason ? reason : "unknown error");
  }
  DLCUDA_THROW(
      DeviceError,
      "{} was not found. Install it, or name its directory in LD_LIBRARY_PATH or DLCUDA_LIBRARY_PATH. "
      "Tried:{}",
      purpose, tried);
}

void* open_cublaslt() {
  static void* const library = open_library("cuBLASLt (part of the CUDA toolkit)",
                                            {"libcublasLt.so.13", "libcublasLt.so.12", "libcublasLt.so"});
  return library;
}

void* open_cudnn_library() {
  static void* const library = open_library("cuDNN 9", {"libcudnn.so.9", "libcudnn.so"});
  return library;
}

void* find_symbol(void* library, const char* purpose, const char* name) {
  void* symbol = ::dlsym(library, name);
  DLCUDA_CHECK(symbol != nullptr, DeviceError, "{} has no function {}: another version is needed", purpose,
               name);
  return symbol;
}

}  // namespace dlcuda::kernels::cuda

// core/cuda/nvtx.cpp without NVTX: keeps the open ranges of each thread and the names that there were.
#include "dlcuda/core/cuda/nvtx.h"

#include <mutex>
#include <utility>

#include "dlcuda/tests/hostcuda/shim.h"

namespace dlcuda::hostcuda {
namespace {

std::mutex mutex;
auto& names = *new std::vector<std::string>;
thread_local int depth = 0;

}  // namespace

std::vector<std::string> take_nvtx_names() {
  const std::lock_guard lock(mutex);
  return std::exchange(names, {});
}

int open_nvtx_ranges() { return depth; }

}  // namespace dlcuda::hostcuda

namespace dlcuda::cuda {

void push_range(const char* name) noexcept {
  const std::lock_guard lock(hostcuda::mutex);
  hostcuda::names.emplace_back(name);
  ++hostcuda::depth;
}

void pop_range() noexcept { --hostcuda::depth; }

}  // namespace dlcuda::cuda

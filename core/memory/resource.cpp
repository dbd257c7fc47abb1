#include "dlcuda/core/memory/resource.h"

#include <sys/mman.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include <cstdlib>
#include <limits>
#include <vector>

#include "dlcuda/core/check.h"
#include "dlcuda/core/cuda/runtime.h"
#include "dlcuda/core/device.h"

namespace dlcuda {
namespace {

constexpr std::size_t kHostAlignment = 256;
constexpr std::size_t kHugePage = std::size_t(2) << 20;

// More than memory and swap together is never there, whatever the kernel promises when it overcommits.
std::size_t machine_bytes() {
  struct sysinfo info {};
  if (sysinfo(&info) != 0) return std::numeric_limits<std::size_t>::max();
  return (std::size_t(info.totalram) + std::size_t(info.totalswap)) * info.mem_unit;
}

class HostMemory final : public MemoryResource {
 public:
  void* allocate(std::size_t bytes) override {
    if (bytes > machine_bytes()) return nullptr;
    const bool huge = bytes >= kHugePage;
    void* pointer = nullptr;
    // posix_memalign takes sizes that are no multiple of the alignment, so that AddressSanitizer sees the
    // exact end.
    if (posix_memalign(&pointer, huge ? kHugePage : kHostAlignment, bytes) != 0) return nullptr;
    // A hint: where it is refused the memory is just as good. Only whole pages are ours to advise on.
    if (huge) madvise(pointer, bytes / kHugePage * kHugePage, MADV_HUGEPAGE);
    return pointer;
  }
  void deallocate(void* pointer, std::size_t) noexcept override { std::free(pointer); }
  std::string name() const override { return "host"; }
  std::optional<std::size_t> free_bytes() const override {
    const long pages = sysconf(_SC_AVPHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    if (pages < 0 || page < 0) return std::nullopt;
    return std::size_t(pages) * std::size_t(page);
  }
};

class PinnedMemory final : public MemoryResource {
 public:
  void* allocate(std::size_t bytes) override { return cuda::allocate_pinned(bytes); }
  void deallocate(void* pointer, std::size_t) noexcept override { cuda::deallocate_pinned(pointer); }
  std::string name() const override { return "pinned"; }
  std::optional<std::size_t> free_bytes() const override { return host_memory().free_bytes(); }
};

class DeviceMemory final : public MemoryResource {
 public:
  explicit DeviceMemory(int device) : device_(device) {}
  void* allocate(std::size_t bytes) override { return cuda::allocate(device_, bytes); }
  void deallocate(void* pointer, std::size_t) noexcept override { cuda::deallocate(device_, pointer); }
  std::string name() const override { return to_string(Device::cuda(device_)); }
  std::optional<std::size_t> free_bytes() const override {
    std::size_t free = 0, total = 0;
    cuda::memory_info(device_, &free, &total);
    return free;
  }

 private:
  int device_;
};

}  // namespace

// All of them live as long as the process: memory is given back by static objects in any order.
MemoryResource& host_memory() {
  static auto* memory = new HostMemory;
  return *memory;
}

MemoryResource& pinned_memory() {
  static MemoryResource* memory = cuda_probe().count > 0 ? new PinnedMemory : &host_memory();
  return *memory;
}

MemoryResource& device_memory(int device) {
  static auto* devices = [] {
    auto* all = new std::vector<DeviceMemory>;
    for (int i = 0; i < cuda_probe().count; ++i) all->emplace_back(i);
    return all;
  }();
  DLCUDA_CHECK(device >= 0 && device < int(devices->size()), DeviceError,
               "there is no memory of {}: found {} CUDA device(s){}{}", to_string(Device::cuda(device)),
               devices->size(), devices->empty() ? ": " : "", cuda_probe().reason);
  return (*devices)[std::size_t(device)];
}

}  // namespace dlcuda

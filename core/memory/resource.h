// Where memory comes from. Allocators stand on this interface; tests inject failing ones.
#pragma once

#include <cstddef>
#include <optional>
#include <string>

#include "dlcuda/core/macros.h"

namespace dlcuda DLCUDA_API {

/// An upstream source of memory: host, pinned host or device. Implementations are thread-safe.
class MemoryResource {
 public:
  virtual ~MemoryResource() = default;
  /// `bytes` > 0 bytes, aligned to at least 256; nullptr when memory is exhausted. Throws only for other
  /// failures.
  virtual void* allocate(std::size_t bytes) = 0;
  /// Gives back what allocate(bytes) returned. Never throws. Device memory may still be in use by work that
  /// was queued earlier: it is not handed out again before that has finished (cudaFree waits).
  virtual void deallocate(void* pointer, std::size_t bytes) noexcept = 0;
  /// "host", "pinned", "cuda:0"; for messages.
  virtual std::string name() const = 0;
  /// Bytes that are free at the source just now, for messages; nothing where that is not known.
  virtual std::optional<std::size_t> free_bytes() const { return std::nullopt; }
};

/// Ordinary host memory, aligned to 256 bytes.
MemoryResource& host_memory();
/// Page-locked host memory; ordinary host memory where there is no CUDA device.
MemoryResource& pinned_memory();
/// cudaMalloc on one device. Throws DeviceError when there is no such device.
MemoryResource& device_memory(int device);

}  // namespace dlcuda

// The bytes under a tensor.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>

#include "dlcuda/core/device.h"
#include "dlcuda/core/memory/caching_allocator.h"
#include "dlcuda/core/stream.h"

namespace dlcuda DLCUDA_API {

/// Shared by all tensors that share the bytes.
class Storage {
 public:
  /// `bytes` bytes for work on current_stream(device), not initialised. Throws OutOfMemoryError, DeviceError.
  static std::shared_ptr<Storage> allocate(std::size_t bytes, Device device);
  /// The same from a given allocator: allocate(n, Device::cpu(), pinned_allocator()) is page-locked.
  static std::shared_ptr<Storage> allocate(std::size_t bytes, Device device, CachingAllocator& allocator);
  /// Memory of the application, which must stay valid until `deleter` is called with it (once, from any
  /// thread; an exception from it is dropped), or as long as the storage lives where there is no deleter.
  /// Throws ArgumentError for nullptr with bytes > 0; the deleter is not called then.
  static std::shared_ptr<Storage> borrow(void* data, std::size_t bytes, Device device,
                                         std::function<void(void*)> deleter = nullptr);

  ~Storage();
  Storage(const Storage&) = delete;
  Storage& operator=(const Storage&) = delete;

  /// nullptr when there are no bytes.
  void* data() const { return data_; }
  std::size_t bytes() const { return bytes_; }
  Device device() const { return device_; }
  /// True for memory of the application.
  bool borrowed() const { return allocator_ == nullptr; }

  /// Counts writes in place, so that autograd can tell that what it saved is no longer what it was.
  std::uint64_t version() const { return version_.load(std::memory_order_relaxed); }
  void bump_version() { version_.fetch_add(1, std::memory_order_relaxed); }

  /// Says that work on another stream uses the bytes (CachingAllocator::record_stream). For borrowed memory
  /// the application's deleter is responsible, and nothing happens.
  void record_stream(const Stream& stream);

 private:
  struct Private {};  // the constructor is for the functions above, which reach it through make_shared

 public:
  Storage(Private, void* data, std::size_t bytes, Device device, CachingAllocator* allocator,
          std::function<void(void*)> deleter);

 private:
  void* data_;
  std::size_t bytes_;
  Device device_;
  CachingAllocator* allocator_;
  std::function<void(void*)> deleter_;
  std::atomic<std::uint64_t> version_ = 0;
};

}  // namespace dlcuda

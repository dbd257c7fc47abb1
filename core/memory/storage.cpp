#include "dlcuda/core/memory/storage.h"

#include "dlcuda/core/capture.h"
#include "dlcuda/core/check.h"

namespace dlcuda {

std::shared_ptr<Storage> Storage::allocate(std::size_t bytes, Device device) {
  capture::Planning* const plan = capture::planning();
  return allocate(bytes, device, plan != nullptr ? plan->memory_of(device) : allocator_for(device));
}

std::shared_ptr<Storage> Storage::allocate(std::size_t bytes, Device device, CachingAllocator& allocator) {
  // The object first: what it cannot hold is not allocated.
  auto storage = std::make_shared<Storage>(Private(), nullptr, bytes, device, &allocator, nullptr);
  storage->data_ = allocator.allocate(bytes, current_stream(device));
  return storage;
}

std::shared_ptr<Storage> Storage::borrow(void* data, std::size_t bytes, Device device,
                                         std::function<void(void*)> deleter) {
  DLCUDA_CHECK(data != nullptr || bytes == 0, ArgumentError, "cannot borrow {} bytes at a null pointer",
               bytes);
  return std::make_shared<Storage>(Private(), data, bytes, device, nullptr, std::move(deleter));
}

Storage::Storage(Private, void* data, std::size_t bytes, Device device, CachingAllocator* allocator,
                 std::function<void(void*)> deleter)
    : data_(data), bytes_(bytes), device_(device), allocator_(allocator), deleter_(std::move(deleter)) {}

Storage::~Storage() {
  if (allocator_ != nullptr) {
    allocator_->deallocate(data_);
  } else if (deleter_) {
    try {
      deleter_(data_);
    } catch (...) {
      // The application's failure; a destructor has nobody to tell.
    }
  }
}

void Storage::record_stream(const Stream& stream) {
  if (allocator_ != nullptr) allocator_->record_stream(data_, stream);
}

}  // namespace dlcuda

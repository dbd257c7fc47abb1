// A caching allocator over a fake resource, with fake events and three streams.
#pragma once

#include <gtest/gtest.h>

#include "dlcuda/core/memory/caching_allocator.h"
#include "memory_fakes.h"

namespace dlcuda {

class CachingAllocatorTest : public ::testing::Test {
 protected:
  void* take(std::size_t bytes) { return allocator.allocate(bytes, stream); }
  void* take(std::size_t bytes, const Stream& on) { return allocator.allocate(bytes, on); }
  void give(void* pointer) { allocator.deallocate(pointer); }
  static std::byte* after(void* pointer, std::size_t bytes) {
    return static_cast<std::byte*>(pointer) + bytes;
  }

  testing::FakeResource resource;
  testing::FakeEvents events;
  Stream stream = testing::fake_stream(1), other = testing::fake_stream(2), third = testing::fake_stream(3);
  CachingAllocator allocator{resource, {}, &events};
};

}  // namespace dlcuda

// Device and pinned memory: exact-size heap blocks, and copies that are checked against them.
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <new>

#include "dlcuda/core/check.h"
#include "dlcuda/tests/hostcuda/mock.h"

namespace dlcuda::hostcuda {
namespace {

constexpr std::size_t kAlignment = 256;
static_assert(kGuardBytes % kAlignment == 0);

std::uintptr_t address_of(const void* pointer) { return reinterpret_cast<std::uintptr_t>(pointer); }

std::string describe(const Allocation& allocation) {
  return fmt::format("{} memory #{}: {} bytes", allocation.kind == MemoryKind::Device ? "device" : "pinned",
                     allocation.number, allocation.block.bytes);
}

/// The live allocation that holds `pointer`, its guards included; null for ordinary host memory.
const Allocation* find(const void* pointer) {
  auto& allocations = Runtime::instance().allocations;
  const auto address = address_of(pointer);
  const auto after = allocations.upper_bound(address);
  if (after != allocations.begin()) {
    const Allocation& before = std::prev(after)->second;
    if (address < address_of(before.block.data) + before.block.bytes + kGuardBytes) return &before;
  }
  if (after != allocations.end() && address + kGuardBytes >= after->first && address < after->first) {
    return &after->second;
  }
  return nullptr;
}

/// Throws where [pointer, pointer + bytes) is not wholly inside the allocation that it begins in or ends
/// beside.
const Allocation* find_range(const char* call, const char* side, const void* pointer, std::size_t bytes) {
  const Allocation* allocation = find(pointer);
  if (allocation == nullptr || bytes == 0) return allocation;
  const auto begin = address_of(allocation->block.data), at = address_of(pointer);
  DLCUDA_CHECK(
      at >= begin && at - begin <= allocation->block.bytes && bytes <= allocation->block.bytes - (at - begin),
      hostcuda::ApiMisuse, "{}: the {} range [{}, {}) goes beyond {}", call, side,
      std::int64_t(at) - std::int64_t(begin), std::int64_t(at) - std::int64_t(begin) + std::int64_t(bytes),
      describe(*allocation));
  return allocation;
}

/// Whether the two sides are what `kind` says. Pinned memory counts as either.
bool fits(cudaMemcpyKind kind, const Allocation* to, const Allocation* from) {
  const auto device = [](const Allocation* side) { return side != nullptr; };
  const auto host = [](const Allocation* side) {
    return side == nullptr || side->kind == MemoryKind::Pinned;
  };
  switch (kind) {
    case cudaMemcpyHostToHost:
      return host(to) && host(from);
    case cudaMemcpyHostToDevice:
      return device(to) && host(from);
    case cudaMemcpyDeviceToHost:
      return host(to) && device(from);
    case cudaMemcpyDeviceToDevice:
      return device(to) && device(from);
    case cudaMemcpyDefault:
      return true;
  }
  return false;
}

cudaError_t copy_rows(const char* call, void* to, std::size_t to_pitch, const void* from,
                      std::size_t from_pitch, std::size_t width, std::size_t rows, cudaMemcpyKind kind,
                      cudaStream_t stream) {
  return api_call(CallKind::Ordinary, [&] {
    check_stream(stream, call);
    if (width > to_pitch || width > from_pitch) return cudaErrorInvalidPitchValue;
    if (width == 0 || rows == 0) return cudaSuccess;
    if (to == nullptr || from == nullptr) return cudaErrorInvalidValue;
    const Work described{Work::Kind::Copy, call};
    if (Runtime::instance().dry_run) return run_or_record(stream, described, {});
    const std::size_t to_bytes = (rows - 1) * to_pitch + width, from_bytes = (rows - 1) * from_pitch + width;
    const Allocation* to_allocation = find_range(call, "destination", to, to_bytes);
    const Allocation* from_allocation = find_range(call, "source", from, from_bytes);
    if (!fits(kind, to_allocation, from_allocation)) return cudaErrorInvalidValue;
    if ((to_allocation == nullptr) != (from_allocation == nullptr)) {
      ++Runtime::instance().pageable_copies;
    }
    const auto overlap =
        address_of(to) < address_of(from) + from_bytes && address_of(from) < address_of(to) + to_bytes;
    DLCUDA_CHECK(rows > 1 || !overlap, hostcuda::ApiMisuse, "{}: source and destination overlap", call);
    DLCUDA_CHECK(!is_recording(stream) || (to_allocation != nullptr && from_allocation != nullptr),
                 hostcuda::ApiMisuse,
                 "{}: a recorded copy reads or writes pageable host memory at each replay", call);
    return run_or_record(stream, described, [=] {
      for (std::size_t row = 0; row < rows; ++row) {
        std::memcpy(static_cast<char*>(to) + row * to_pitch,
                    static_cast<const char*>(from) + row * from_pitch, width);
      }
      return cudaSuccess;
    });
  });
}

cudaError_t allocate(MemoryKind kind, void** pointer, std::size_t bytes) {
  return api_call(CallKind::Allocates, [&] {
    *pointer = nullptr;
    if (const cudaError_t refused = refuse_while_recording(); refused != cudaSuccess) return refused;
    if (bytes == 0) return cudaSuccess;
    auto& runtime = Runtime::instance();
    const int device = current_device();
    if (kind == MemoryKind::Device) {
      std::size_t used = 0;
      for (const auto& [address, allocation] : runtime.allocations) {
        if (allocation.kind == kind && allocation.device == device) used += allocation.block.bytes;
      }
      if (used > runtime.model.memory || bytes > runtime.model.memory - used)
        return cudaErrorMemoryAllocation;
    }
    const Block block = Block::make(bytes, kAlignment);
    if (block.data == nullptr) return cudaErrorMemoryAllocation;
    runtime.allocations.emplace(address_of(block.data),
                                Allocation{block, kind, device, ++runtime.allocation_number});
    *pointer = block.data;
    return cudaSuccess;
  });
}

cudaError_t release(const char* call, MemoryKind kind, void* pointer) {
  return api_call(CallKind::Releases, [&] {
    if (pointer == nullptr) return cudaSuccess;
    if (const cudaError_t refused = refuse_while_recording(); refused != cudaSuccess) return refused;
    auto& allocations = Runtime::instance().allocations;
    const auto found = allocations.find(address_of(pointer));
    DLCUDA_CHECK(found != allocations.end() && found->second.kind == kind, hostcuda::ApiMisuse,
                 "{}: {} is not live {} memory (freed before, or never allocated)", call, pointer,
                 kind == MemoryKind::Device ? "device" : "pinned");
    check_guards_after(call);
    found->second.block.release();
    allocations.erase(found);
    return cudaSuccess;
  });
}

}  // namespace

Block Block::make(std::size_t bytes, std::size_t alignment) {
  const std::size_t whole = kGuardBytes + bytes + kGuardBytes;
  void* memory = nullptr;
  if (whole < bytes || posix_memalign(&memory, alignment, whole) != 0) return {};
  std::memset(memory, kPoison, whole);
  return {static_cast<unsigned char*>(memory) + kGuardBytes, bytes};
}

void Block::release() const { std::free(data - kGuardBytes); }

bool Block::guards_intact() const {
  const auto untouched = [](unsigned char byte) { return byte == kPoison; };
  return std::all_of(data - kGuardBytes, data, untouched) &&
         std::all_of(data + bytes, data + bytes + kGuardBytes, untouched);
}

void check_guards_after(const std::string& culprit) {
  for (const auto& [address, allocation] : Runtime::instance().allocations) {
    DLCUDA_CHECK(allocation.block.guards_intact(), hostcuda::KernelError,
                 "{}: the bytes beside {} were overwritten: a kernel wrote out of bounds", culprit,
                 describe(allocation));
  }
}

void check_guards() {
  const std::lock_guard lock(Runtime::instance().mutex);
  check_guards_after("check_guards");
}

std::vector<DeviceRange> device_ranges() {
  std::vector<DeviceRange> ranges;
  for (const auto& [address, allocation] : Runtime::instance().allocations) {
    if (allocation.kind == MemoryKind::Device) ranges.push_back({address, address + allocation.block.bytes});
  }
  return ranges;
}

Counters counters() {
  auto& runtime = Runtime::instance();
  const std::lock_guard lock(runtime.mutex);
  Counters result;
  result.calls = runtime.calls;
  result.allocations = runtime.allocation_calls;
  result.launches = runtime.launches;
  result.pageable_copies = runtime.pageable_copies;
  for (const auto& [address, allocation] : runtime.allocations) {
    if (allocation.kind == MemoryKind::Device) {
      ++result.device_allocations;
      result.device_bytes += allocation.block.bytes;
    } else {
      ++result.pinned_allocations;
    }
  }
  count_streams_and_events(result);
  return result;
}

std::string describe_live() {
  auto& runtime = Runtime::instance();
  const std::lock_guard lock(runtime.mutex);
  std::string lines;
  for (const auto& [address, allocation] : runtime.allocations) lines += describe(allocation) + "\n";
  return lines + describe_streams_and_events();
}

}  // namespace dlcuda::hostcuda

using namespace dlcuda::hostcuda;

cudaError_t cudaMalloc(void** pointer, std::size_t bytes) {
  return allocate(MemoryKind::Device, pointer, bytes);
}
cudaError_t cudaFree(void* pointer) { return release("cudaFree", MemoryKind::Device, pointer); }
cudaError_t cudaHostAlloc(void** pointer, std::size_t bytes, unsigned) {
  return allocate(MemoryKind::Pinned, pointer, bytes);
}
cudaError_t cudaMallocHost(void** pointer, std::size_t bytes) {
  return allocate(MemoryKind::Pinned, pointer, bytes);
}
cudaError_t cudaFreeHost(void* pointer) { return release("cudaFreeHost", MemoryKind::Pinned, pointer); }

cudaError_t cudaMemGetInfo(std::size_t* free_bytes, std::size_t* total_bytes) {
  return api_call(CallKind::Ordinary, [&] {
    const auto& runtime = Runtime::instance();
    std::size_t used = 0;
    for (const auto& [address, allocation] : runtime.allocations) {
      const bool here = allocation.kind == MemoryKind::Device && allocation.device == current_device();
      if (here) used += allocation.block.bytes;
    }
    *total_bytes = runtime.model.memory;
    *free_bytes = runtime.model.memory - std::min(used, runtime.model.memory);
    return cudaSuccess;
  });
}

cudaError_t cudaPointerGetAttributes(cudaPointerAttributes* attributes, const void* pointer) {
  return api_call(CallKind::Ordinary, [&] {
    const Allocation* allocation = find(pointer);
    void* plain = const_cast<void*>(pointer);
    *attributes = {cudaMemoryTypeUnregistered, -2, nullptr, plain};
    if (allocation != nullptr) {
      const bool device = allocation->kind == MemoryKind::Device;
      *attributes = {device ? cudaMemoryTypeDevice : cudaMemoryTypeHost, allocation->device, plain,
                     device ? nullptr : plain};
    }
    return cudaSuccess;
  });
}

cudaError_t cudaMemcpy(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind) {
  return copy_rows("cudaMemcpy", to, bytes, from, bytes, bytes, 1, kind, nullptr);
}

cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t stream) {
  return copy_rows("cudaMemcpyAsync", to, bytes, from, bytes, bytes, 1, kind, stream);
}

cudaError_t cudaMemcpy2DAsync(void* to, std::size_t to_pitch, const void* from, std::size_t from_pitch,
                              std::size_t width, std::size_t rows, cudaMemcpyKind kind, cudaStream_t stream) {
  return copy_rows("cudaMemcpy2DAsync", to, to_pitch, from, from_pitch, width, rows, kind, stream);
}

cudaError_t cudaMemset(void* pointer, int value, std::size_t bytes) {
  return cudaMemsetAsync(pointer, value, bytes, nullptr);
}

cudaError_t cudaMemsetAsync(void* pointer, int value, std::size_t bytes, cudaStream_t stream) {
  return api_call(CallKind::Ordinary, [&] {
    check_stream(stream, "cudaMemsetAsync");
    if (bytes == 0) return cudaSuccess;
    const Work described{Work::Kind::Fill, "cudaMemsetAsync"};
    if (Runtime::instance().dry_run) return run_or_record(stream, described, {});
    if (find_range("cudaMemsetAsync", "destination", pointer, bytes) == nullptr) return cudaErrorInvalidValue;
    return run_or_record(stream, described, [=] {
      std::memset(pointer, value, bytes);
      return cudaSuccess;
    });
  });
}

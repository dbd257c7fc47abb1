// The small part of the CUDA runtime that host code needs, without CUDA's headers. runtime.cpp implements it
// with cudart, core/no_cuda.cpp throws DeviceError("built without CUDA"). All functions take the device
// explicitly.
#pragma once

#include <cstddef>

#include "dlcuda/core/device.h"

namespace dlcuda::cuda {

CudaProbe probe();

/// Device memory; nullptr when exhausted (the sticky error is cleared).
void* allocate(int device, std::size_t bytes);
void deallocate(int device, void* pointer) noexcept;
/// Page-locked host memory; nullptr when exhausted.
void* allocate_pinned(std::size_t bytes);
void deallocate_pinned(void* pointer) noexcept;
/// Whether host memory is page-locked: allocated so, or registered by the application.
bool is_page_locked(const void* pointer);
/// Free and total bytes of a device.
void memory_info(int device, std::size_t* free_bytes, std::size_t* total_bytes);

/// Copies between any two of host and device memory, in stream order. From or to pageable host memory the
/// call returns only when the host side may be reused.
void copy(int device, void* to, const void* from, std::size_t bytes, void* stream);
/// Rows of `width` bytes, `*_pitch` bytes apart.
void copy_2d(int device, void* to, std::size_t to_pitch, const void* from, std::size_t from_pitch,
             std::size_t width, std::size_t rows, void* stream);
void fill_bytes(int device, void* pointer, unsigned char value, std::size_t bytes, void* stream);

/// high: of the highest priority that the device has; else of its default one.
void* create_stream(int device, bool high = false);
void destroy_stream(int device, void* stream) noexcept;
void synchronize(int device, void* stream);

void* create_event(int device, bool timing);
void destroy_event(int device, void* event) noexcept;
void record_event(int device, void* event, void* stream);
bool event_finished(int device, void* event);
void synchronize_event(int device, void* event);
void wait_event(int device, void* event, void* stream);
float elapsed_ms(int device, void* start, void* end);

/// Makes `device` current for the calling thread, for good. What a program does that works on one device:
/// scopes have nothing to change then, and no context is made on device 0.
void make_current(int device);

/// Makes `device` current for the calling thread, and the previous one again at the end of the scope.
class DeviceScope {
 public:
  explicit DeviceScope(int device);
  ~DeviceScope();
  DeviceScope(const DeviceScope&) = delete;
  DeviceScope& operator=(const DeviceScope&) = delete;

 private:
  int previous_;
};

}  // namespace dlcuda::cuda

#include "dlcuda/core/cuda/runtime.h"

#include <cuda_runtime.h>

#include <cstdlib>
#include <map>
#include <mutex>

#include "dlcuda/core/capture.h"
#include "dlcuda/core/check.h"
#include "dlcuda/core/cuda/launch.cuh"

namespace dlcuda::cuda {
namespace {

/// The last launches of a thread, for messages: an error shows after the kernel that caused it.
class LaunchLog {
 public:
  void add(const char* kernel) { names_[count_++ % kKept] = kernel; }
  const char* last() const { return count_ == 0 ? "no kernel" : names_[(count_ - 1) % kKept]; }
  /// "'a', 'b', 'c'", the last one first.
  std::string text() const {
    std::string result;
    for (std::size_t back = 1; back <= kKept && back <= count_; ++back) {
      result += fmt::format("{}'{}'", back == 1 ? "" : ", ", names_[(count_ - back) % kKept]);
    }
    return result.empty() ? "none" : result;
  }

 private:
  static constexpr std::size_t kKept = 4;
  const char* names_[kKept] = {};
  std::size_t count_ = 0;
};
thread_local LaunchLog launches_of_thread;
/// What the runtime would tell if a lost device let it.
thread_local int device_of_thread = 0;

/// Devices that a fault has made unusable for the rest of the process, with what was said then.
class LostDevices {
 public:
  /// The first report on a device stays.
  void add(int device, const std::string& report) {
    const std::lock_guard lock(mutex_);
    reports_.try_emplace(device, report);
  }
  std::string report_on(int device) const {
    const std::lock_guard lock(mutex_);
    const auto found = reports_.find(device);
    return found == reports_.end() ? "" : found->second;
  }
  void forget() {
    const std::lock_guard lock(mutex_);
    reports_.clear();
  }

 private:
  mutable std::mutex mutex_;
  std::map<int, std::string> reports_;
};

LostDevices& lost_devices() {
  static auto* const one = new LostDevices;
  return *one;
}

cudaStream_t as_stream(void* stream) { return static_cast<cudaStream_t>(stream); }
cudaEvent_t as_event(void* event) { return static_cast<cudaEvent_t>(event); }

std::string describe(cudaError_t status) {
  return fmt::format("{} ({})", cudaGetErrorName(status), cudaGetErrorString(status));
}

/// 13020 is "13.2".
std::string version_text(int version) { return fmt::format("{}.{}", version / 1000, version % 1000 / 10); }

/// Null when memory is exhausted; other errors throw.
void* null_if_exhausted(cudaError_t status, void* pointer, const char* expression, int line) {
  if (status == cudaErrorMemoryAllocation) {
    cudaGetLastError();  // exhausted is not broken: the caller flushes its cache and tries again
    return nullptr;
  }
  check(status, expression, __FILE__, line);
  return pointer;
}

/// For what destructors call: there is nobody to tell, and the next checked call tells sticky errors anyway.
void ignore(cudaError_t status) noexcept {
  if (status != cudaSuccess) cudaGetLastError();
}

std::string why_no_device(cudaError_t status, int driver_version) {
  if (driver_version == 0) return "no CUDA driver found";
  if (status == cudaErrorInsufficientDriver) {
    return fmt::format("the CUDA driver is too old for this build (it supports CUDA {}, this build needs {})",
                       version_text(driver_version), version_text(CUDART_VERSION));
  }
  if (status == cudaErrorNoDevice || status == cudaSuccess) return "no CUDA device found";
  return fmt::format("CUDA could not be initialised: {}", describe(status));
}

}  // namespace

void check(cudaError_t status, const char* expression, const char* file, int line) {
  if (status == cudaSuccess) return;
  cudaGetLastError();  // clears the error, unless it is a sticky one
  if (status >= cudaErrorStreamCaptureUnsupported && status <= cudaErrorStreamCaptureWrongThread) {
    throw capture::Refused(fmt::format("{}: {}", expression, describe(status)));
  }
  const bool sticky = cudaPeekAtLastError() != cudaSuccess;
  const std::string what = fmt::format("{}\n  {} at {}:{}", describe(status), expression, file, line);
  const int device = device_of_thread;
  const std::string before = sticky ? lost_devices().report_on(device) : "";
  if (!before.empty()) {
    DLCUDA_THROW(DeviceError, "cuda:{} is unusable for the rest of this process. What made it so: {}", device,
                 before);
  }
  const std::string report = fmt::format(
      "{}\n  It may come from an earlier asynchronous launch; the last kernels this thread "
      "launched, the latest first: {}.",
      what, launches_of_thread.text());
  if (sticky) lost_devices().add(device, report);
  DLCUDA_THROW(DeviceError, "CUDA call failed: {}{}", report,
               sticky ? " The device is unusable for the rest of this process." : "");
}

void check_launch_limits(const char* kernel, dim3 grid, dim3 block, std::size_t shared_bytes) {
  launches_of_thread.add(kernel);
  constexpr std::size_t kMostSharedBytes = 227 << 10;
  const auto threads = std::size_t(block.x) * block.y * block.z;
  DLCUDA_CHECK(
      threads >= 1 && block.x <= 1024 && block.y <= 1024 && block.z <= 64 && threads <= 1024, DeviceError,
      "kernel '{}': a block of ({}, {}, {}) threads cannot be launched: 1 to 1024 in all, at most 64 in z",
      kernel, block.x, block.y, block.z);
  DLCUDA_CHECK(
      grid.x <= 0x7fffffffu && grid.y <= 65535 && grid.z <= 65535, DeviceError,
      "kernel '{}': a grid of ({}, {}, {}) blocks cannot be launched: at most 2147483647, 65535 and 65535",
      kernel, grid.x, grid.y, grid.z);
  DLCUDA_CHECK(shared_bytes <= kMostSharedBytes, DeviceError,
               "kernel '{}': {} bytes of dynamic shared memory cannot be had: at most {}", kernel,
               shared_bytes, kMostSharedBytes);
}

const char* last_launch() noexcept { return launches_of_thread.last(); }

void forget_lost_devices() { lost_devices().forget(); }

CudaProbe probe() {
  CudaProbe result;
  const char* visible = std::getenv("CUDA_VISIBLE_DEVICES");
  result.looked_for = fmt::format("the NVIDIA driver (libcuda.so.1) and its devices (/dev/nvidia*); {}",
                                  visible == nullptr ? "CUDA_VISIBLE_DEVICES is not set"
                                                     : fmt::format("CUDA_VISIBLE_DEVICES is '{}'", visible));
  int driver_version = 0, count = 0;
  ignore(cudaDriverGetVersion(&driver_version));
  result.built_for = version_text(CUDART_VERSION);
  if (driver_version > 0) result.driver = version_text(driver_version);
  const cudaError_t status = cudaGetDeviceCount(&count);
  if (status != cudaSuccess || count == 0) {
    ignore(status);
    result.reason = why_no_device(status, driver_version);
    return result;
  }
  result.count = count;
  for (int device = 0; device < count; ++device) {
    cudaDeviceProp properties{};
    DLCUDA_CUDA_CHECK(cudaGetDeviceProperties(&properties, device));
    result.names.push_back(fmt::format("{} (compute capability {}.{}, {:.0f} GiB)", properties.name,
                                       properties.major, properties.minor,
                                       double(properties.totalGlobalMem) / double(1 << 30)));
  }
  return result;
}

// A thread that records a step may allocate all the same: the allocation is not part of the recording.
class AllowWhileRecording {
 public:
  AllowWhileRecording() {
    changed_ = cudaThreadExchangeStreamCaptureMode(&mode_) == cudaSuccess;
    if (!changed_) cudaGetLastError();
  }
  ~AllowWhileRecording() {
    if (changed_) ignore(cudaThreadExchangeStreamCaptureMode(&mode_));
  }
  AllowWhileRecording(const AllowWhileRecording&) = delete;
  AllowWhileRecording& operator=(const AllowWhileRecording&) = delete;

 private:
  cudaStreamCaptureMode mode_ = cudaStreamCaptureModeRelaxed;
  bool changed_;
};

void* allocate(int device, std::size_t bytes) {
  const DeviceScope scope(device);
  const AllowWhileRecording allowed;
  void* pointer = nullptr;
  const cudaError_t status = cudaMalloc(&pointer, bytes);
  return null_if_exhausted(status, pointer, "cudaMalloc", __LINE__);
}

// Pointers, streams and events know their device; none needs to be made current to destroy them.
void deallocate(int, void* pointer) noexcept {
  const AllowWhileRecording allowed;
  ignore(cudaFree(pointer));
}

void* allocate_pinned(std::size_t bytes) {
  const AllowWhileRecording allowed;
  void* pointer = nullptr;
  const cudaError_t status = cudaHostAlloc(&pointer, bytes, cudaHostAllocPortable);
  return null_if_exhausted(status, pointer, "cudaHostAlloc", __LINE__);
}

void deallocate_pinned(void* pointer) noexcept { ignore(cudaFreeHost(pointer)); }

bool is_page_locked(const void* pointer) {
  cudaPointerAttributes attributes{};
  DLCUDA_CUDA_CHECK(cudaPointerGetAttributes(&attributes, pointer));
  return attributes.type == cudaMemoryTypeHost;
}

void memory_info(int device, std::size_t* free_bytes, std::size_t* total_bytes) {
  const DeviceScope scope(device);
  DLCUDA_CUDA_CHECK(cudaMemGetInfo(free_bytes, total_bytes));
}

void copy(int device, void* to, const void* from, std::size_t bytes, void* stream) {
  if (bytes == 0) return;
  const DeviceScope scope(device);
  DLCUDA_CUDA_CHECK(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDefault, as_stream(stream)));
}

void copy_2d(int device, void* to, std::size_t to_pitch, const void* from, std::size_t from_pitch,
             std::size_t width, std::size_t rows, void* stream) {
  if (width == 0 || rows == 0) return;
  const DeviceScope scope(device);
  DLCUDA_CUDA_CHECK(
      cudaMemcpy2DAsync(to, to_pitch, from, from_pitch, width, rows, cudaMemcpyDefault, as_stream(stream)));
}

void fill_bytes(int device, void* pointer, unsigned char value, std::size_t bytes, void* stream) {
  if (bytes == 0) return;
  const DeviceScope scope(device);
  DLCUDA_CUDA_CHECK(cudaMemsetAsync(pointer, value, bytes, as_stream(stream)));
}

void* create_stream(int device, bool high) {
  const DeviceScope scope(device);
  int lowest = 0, highest = 0;  // the higher a priority, the smaller its number; 0 is the default
  if (high) DLCUDA_CUDA_CHECK(cudaDeviceGetStreamPriorityRange(&lowest, &highest));
  cudaStream_t stream = nullptr;
  DLCUDA_CUDA_CHECK(cudaStreamCreateWithPriority(&stream, cudaStreamNonBlocking, highest));
  return stream;
}

void destroy_stream(int, void* stream) noexcept { ignore(cudaStreamDestroy(as_stream(stream))); }

void synchronize(int device, void* stream) {
  const DeviceScope scope(device);
  DLCUDA_CUDA_CHECK(cudaStreamSynchronize(as_stream(stream)));
}

void* create_event(int device, bool timing) {
  const DeviceScope scope(device);
  cudaEvent_t event = nullptr;
  DLCUDA_CUDA_CHECK(cudaEventCreateWithFlags(&event, timing ? cudaEventDefault : cudaEventDisableTiming));
  return event;
}

void destroy_event(int, void* event) noexcept { ignore(cudaEventDestroy(as_event(event))); }

void record_event(int device, void* event, void* stream) {
  const DeviceScope scope(device);
  DLCUDA_CUDA_CHECK(cudaEventRecord(as_event(event), as_stream(stream)));
}

bool event_finished(int device, void* event) {
  const DeviceScope scope(device);
  const cudaError_t status = cudaEventQuery(as_event(event));
  if (status == cudaErrorNotReady) {
    cudaGetLastError();
    return false;
  }
  check(status, "cudaEventQuery", __FILE__, __LINE__);
  return true;
}

void synchronize_event(int device, void* event) {
  const DeviceScope scope(device);
  DLCUDA_CUDA_CHECK(cudaEventSynchronize(as_event(event)));
}

void wait_event(int device, void* event, void* stream) {
  const DeviceScope scope(device);
  DLCUDA_CUDA_CHECK(cudaStreamWaitEvent(as_stream(stream), as_event(event), 0));
}

float elapsed_ms(int device, void* start, void* end) {
  const DeviceScope scope(device);
  float milliseconds = 0;
  DLCUDA_CUDA_CHECK(cudaEventElapsedTime(&milliseconds, as_event(start), as_event(end)));
  return milliseconds;
}

void make_current(int device) {
  device_of_thread = device;
  DLCUDA_CUDA_CHECK(cudaSetDevice(device));
}

DeviceScope::DeviceScope(int device) : previous_(-1) {
  // A new thread is told device 0 although no context is bound to it yet, which cuBLAS and cuDNN need: so
  // each thread sets its first device itself.
  thread_local bool bound = false;
  device_of_thread = device;
  int current = 0;
  DLCUDA_CUDA_CHECK(cudaGetDevice(&current));
  if (current == device && bound) return;
  DLCUDA_CUDA_CHECK(cudaSetDevice(device));
  if (current != device) previous_ = current;
  bound = true;
}

DeviceScope::~DeviceScope() {
  if (previous_ < 0) return;
  ignore(cudaSetDevice(previous_));
  device_of_thread = previous_;
}

}  // namespace dlcuda::cuda

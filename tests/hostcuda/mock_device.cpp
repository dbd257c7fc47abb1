// Errors, devices, counters and faults.
#include <cstdio>
#include <cstdlib>

#include "dlcuda/core/check.h"
#include "dlcuda/core/cuda/launch.cuh"
#include "dlcuda/tests/hostcuda/mock.h"

namespace dlcuda::hostcuda {
namespace {

thread_local cudaError_t last_error = cudaSuccess;
thread_local int device_of_thread = 0;

constexpr int kMultiprocessors = 1;  // few, so that grid-stride loops go round more than once
constexpr int kSharedBytes = 48 << 10;
constexpr int kSharedBytesOptIn = 227 << 10;

std::uint64_t environment(const char* name, std::uint64_t fallback) {
  const char* text = std::getenv(name);
  if (text == nullptr || *text == '\0') return fallback;
  char* end = nullptr;
  const auto value = std::strtoull(text, &end, 10);
  DLCUDA_CHECK(*end == '\0', ArgumentError, "{} must be a whole number, got '{}'", name, text);
  return value;
}

bool strikes(const Fault& fault, std::uint64_t counter) { return fault.at != 0 && fault.at == counter; }

cudaError_t check_device(int device) {
  return device >= 0 && device < Runtime::instance().model.count ? cudaSuccess : cudaErrorInvalidDevice;
}

}  // namespace

Runtime& Runtime::instance() {
  static Runtime& runtime = *[] {
    auto* made = new Runtime;  // outlives every static object that still frees memory
    made->restore_environment();
    made->call_fault = {environment("DLCUDA_SHIM_FAIL_CALL", 0), cudaErrorUnknown, false};
    made->allocation_fault = {environment("DLCUDA_SHIM_FAIL_ALLOC", 0), cudaErrorMemoryAllocation, false};
    return made;
  }();
  return runtime;
}

void Runtime::restore_environment() {
  model = DeviceModel();
  model.count = int(environment("DLCUDA_SHIM_DEVICES", 1));
  model.memory = environment("DLCUDA_SHIM_MEMORY", model.memory);
  seed = environment("DLCUDA_SHIM_SEED", 1);
}

cudaError_t count_call(CallKind kind) {
  auto& runtime = Runtime::instance();
  cudaError_t error = runtime.sticky;
  if (strikes(runtime.call_fault, ++runtime.calls)) {
    error = runtime.call_fault.error;
    if (runtime.call_fault.sticky) runtime.sticky = error;
  }
  if (kind == CallKind::Allocates && strikes(runtime.allocation_fault, ++runtime.allocation_calls)) {
    error = runtime.allocation_fault.error;
  }
  return error;
}

cudaError_t set_last_error(cudaError_t error) {
  if (error != cudaSuccess && error != cudaErrorNotReady) last_error = error;
  return error;
}

int current_device() { return device_of_thread; }

void set_seed(std::uint64_t seed) {
  const std::lock_guard lock(Runtime::instance().mutex);
  Runtime::instance().seed = seed;
  Runtime::instance().launches = 0;
}

void set_device_model(const DeviceModel& model) {
  const std::lock_guard lock(Runtime::instance().mutex);
  Runtime::instance().model = model;
}

void fail_call(std::uint64_t n, cudaError_t error, bool sticky) {
  auto& runtime = Runtime::instance();
  const std::lock_guard lock(runtime.mutex);
  runtime.call_fault = {n == 0 ? 0 : runtime.calls + n, error, sticky};
}

void fail_allocation(std::uint64_t n, cudaError_t error) {
  auto& runtime = Runtime::instance();
  const std::lock_guard lock(runtime.mutex);
  runtime.allocation_fault = {n == 0 ? 0 : runtime.allocation_calls + n, error, false};
}

void set_dry_run(DryRun dry_run) {
  const std::lock_guard lock(Runtime::instance().mutex);
  Runtime::instance().dry_run = std::move(dry_run);
}

void set_launch_observer(LaunchObserver* observer) {
  const std::lock_guard lock(Runtime::instance().mutex);
  Runtime::instance().observer = observer;
}

void reset() {
  cuda::forget_lost_devices();
  auto& runtime = Runtime::instance();
  const std::lock_guard lock(runtime.mutex);
  runtime.call_fault = {};
  runtime.allocation_fault = {};
  runtime.sticky = cudaSuccess;
  runtime.launches = 0;
  runtime.dry_run = nullptr;
  runtime.observer = nullptr;
  runtime.restore_environment();
  last_error = cudaSuccess;
}

}  // namespace dlcuda::hostcuda

using namespace dlcuda::hostcuda;

const char* cudaGetErrorName(cudaError_t error) {
  switch (error) {
    case cudaSuccess:
      return "cudaSuccess";
    case cudaErrorInvalidValue:
      return "cudaErrorInvalidValue";
    case cudaErrorMemoryAllocation:
      return "cudaErrorMemoryAllocation";
    case cudaErrorInitializationError:
      return "cudaErrorInitializationError";
    case cudaErrorCudartUnloading:
      return "cudaErrorCudartUnloading";
    case cudaErrorInvalidConfiguration:
      return "cudaErrorInvalidConfiguration";
    case cudaErrorInvalidPitchValue:
      return "cudaErrorInvalidPitchValue";
    case cudaErrorInvalidMemcpyDirection:
      return "cudaErrorInvalidMemcpyDirection";
    case cudaErrorInsufficientDriver:
      return "cudaErrorInsufficientDriver";
    case cudaErrorNoDevice:
      return "cudaErrorNoDevice";
    case cudaErrorInvalidDevice:
      return "cudaErrorInvalidDevice";
    case cudaErrorNoKernelImageForDevice:
      return "cudaErrorNoKernelImageForDevice";
    case cudaErrorInvalidResourceHandle:
      return "cudaErrorInvalidResourceHandle";
    case cudaErrorNotReady:
      return "cudaErrorNotReady";
    case cudaErrorIllegalAddress:
      return "cudaErrorIllegalAddress";
    case cudaErrorLaunchFailure:
      return "cudaErrorLaunchFailure";
    case cudaErrorNotSupported:
      return "cudaErrorNotSupported";
    case cudaErrorStreamCaptureUnsupported:
      return "cudaErrorStreamCaptureUnsupported";
    case cudaErrorStreamCaptureInvalidated:
      return "cudaErrorStreamCaptureInvalidated";
    case cudaErrorCapturedEvent:
      return "cudaErrorCapturedEvent";
    case cudaErrorStreamCaptureWrongThread:
      return "cudaErrorStreamCaptureWrongThread";
    case cudaErrorUnknown:
      return "cudaErrorUnknown";
  }
  return "unrecognized error code";
}

const char* cudaGetErrorString(cudaError_t error) {
  switch (error) {
    case cudaSuccess:
      return "no error";
    case cudaErrorMemoryAllocation:
      return "out of memory";
    case cudaErrorInsufficientDriver:
      return "the driver is older than the runtime, or missing";
    case cudaErrorNoDevice:
      return "no CUDA-capable device is detected";
    case cudaErrorInvalidConfiguration:
      return "invalid configuration argument";
    default:
      return "an error of the host shim";
  }
}

cudaError_t cudaGetLastError() {
  const cudaError_t error = cudaPeekAtLastError();
  last_error = cudaSuccess;
  return error;
}

cudaError_t cudaPeekAtLastError() {
  auto& runtime = Runtime::instance();
  const std::lock_guard lock(runtime.mutex);
  return runtime.sticky != cudaSuccess ? runtime.sticky : last_error;
}

cudaError_t cudaDriverGetVersion(int* version) {
  return api_call(CallKind::Ordinary, [&] {
    *version = Runtime::instance().model.driver_version;
    return cudaSuccess;
  });
}

cudaError_t cudaRuntimeGetVersion(int* version) {
  return api_call(CallKind::Ordinary, [&] {
    *version = CUDART_VERSION;
    return cudaSuccess;
  });
}

cudaError_t cudaGetDeviceCount(int* count) {
  return api_call(CallKind::Ordinary, [&] {
    const auto& model = Runtime::instance().model;
    *count = 0;
    if (model.driver_version < CUDART_VERSION) return cudaErrorInsufficientDriver;
    if (model.count == 0) return cudaErrorNoDevice;
    *count = model.count;
    return cudaSuccess;
  });
}

cudaError_t cudaGetDevice(int* device) {
  return api_call(CallKind::Ordinary, [&] {
    *device = device_of_thread;
    return cudaSuccess;
  });
}

cudaError_t cudaSetDevice(int device) {
  return api_call(CallKind::Ordinary, [&] {
    const cudaError_t error = check_device(device);
    if (error == cudaSuccess) device_of_thread = device;
    return error;
  });
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device) {
  return api_call(CallKind::Ordinary, [&] {
    *properties = {};
    std::snprintf(properties->name, sizeof properties->name, "host shim (CUDA kernels executed on the CPU)");
    properties->totalGlobalMem = Runtime::instance().model.memory;
    properties->sharedMemPerBlock = kSharedBytes;
    properties->sharedMemPerBlockOptin = kSharedBytesOptIn;
    properties->warpSize = 32;
    properties->maxThreadsPerBlock = 1024;
    properties->multiProcessorCount = kMultiprocessors;
    properties->major = 9;
    properties->minor = 0;
    return check_device(device);
  });
}

cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int device) {
  return api_call(CallKind::Ordinary, [&] {
    switch (attribute) {
      case cudaDevAttrMaxThreadsPerBlock:
        *value = 1024;
        break;
      case cudaDevAttrMaxSharedMemoryPerBlock:
        *value = kSharedBytes;
        break;
      case cudaDevAttrWarpSize:
        *value = 32;
        break;
      case cudaDevAttrMultiProcessorCount:
        *value = kMultiprocessors;
        break;
      case cudaDevAttrMaxThreadsPerMultiProcessor:
        *value = 2048;
        break;
      case cudaDevAttrComputeCapabilityMajor:
        *value = 9;
        break;
      case cudaDevAttrComputeCapabilityMinor:
        *value = 0;
        break;
      case cudaDevAttrMaxSharedMemoryPerBlockOptin:
        *value = kSharedBytesOptIn;
        break;
      default:
        return cudaErrorInvalidValue;
    }
    return check_device(device);
  });
}

cudaError_t cudaDeviceSynchronize() {
  return api_call(CallKind::Ordinary, [] { return refuse_while_recording(); });
}

cudaError_t cudaFuncSetAttribute(const void* kernel, cudaFuncAttribute attribute, int value) {
  return api_call(CallKind::Ordinary, [&] {
    if (attribute != cudaFuncAttributeMaxDynamicSharedMemorySize || value < 0 || value > kSharedBytesOptIn) {
      return cudaErrorInvalidValue;
    }
    Runtime::instance().dynamic_shared_limits[kernel] = std::size_t(value);
    return cudaSuccess;
  });
}

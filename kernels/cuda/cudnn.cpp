#include "dlcuda/kernels/cuda/cudnn.h"

#include <map>
#include <memory>
#include <mutex>

#include "dlcuda/core/check.h"
#include "dlcuda/kernels/cuda/library.h"

// The frontend declares this and looks every function up in it.
namespace cudnn_frontend {
void* cudnn_dlhandle = nullptr;
}

namespace dlcuda::kernels::cuda {
namespace {

void check_status(cudnnStatus_t status, const char* expression) {
  DLCUDA_CHECK(status == CUDNN_STATUS_SUCCESS, DeviceError, "{} failed: {}", expression,
               cudnn_frontend::detail::get_error_string(status));
}

struct DestroyHandle {
  void operator()(cudnnHandle_t handle) const { cudnn_frontend::detail::destroy_handle(handle); }
};
using Handle = std::unique_ptr<cudnnContext, DestroyHandle>;

}  // namespace

void open_cudnn() {
  static std::once_flag once;
  std::call_once(once, [] {
    // The frontend reads the version through the same variable.
    cudnn_frontend::cudnn_dlhandle = open_cudnn_library();
    const std::size_t version = cudnn_frontend::detail::get_backend_version();
    DLCUDA_CHECK(version >= 90000, DeviceError, "cuDNN 9 is needed, found version {}.{}: install libcudnn9",
                 version / 1000, version / 100 % 10);
  });
}

cudnnHandle_t cudnn_handle(Device device, cudaStream_t stream) {
  open_cudnn();
  // A handle serves one thread at a time. Setting the stream is a store; work already queued is not touched.
  thread_local std::map<int, Handle> handles;
  Handle& handle = handles[device.index];
  if (!handle) {
    cudnnHandle_t created = nullptr;
    check_status(cudnn_frontend::detail::create_handle(&created), "cudnnCreate");
    handle.reset(created);
  }
  check_status(cudnn_frontend::detail::set_stream(handle.get(), stream), "cudnnSetStream");
  return handle.get();
}

void check_cudnn(cudnn_frontend::error_t status, const char* doing) {
  DLCUDA_CHECK(status.is_good(), DeviceError, "{} failed in cuDNN {}: {}", doing,
               cudnn_frontend::detail::get_backend_version_string(), status.get_message());
}

}  // namespace dlcuda::kernels::cuda

// core/cuda/runtime.h and graph.h for a build without CUDA: there are no devices, and every call says why;
// and core/cuda/nvtx.h: nobody watches.
#include "dlcuda/core/check.h"
#include "dlcuda/core/cuda/graph.h"
#include "dlcuda/core/cuda/nvtx.h"
#include "dlcuda/core/cuda/runtime.h"

namespace dlcuda::cuda {
namespace {

[[noreturn]] void refuse() {
  throw DeviceError("libdlcuda was built without CUDA: install the CUDA toolkit and cuDNN, then build again");
}

}  // namespace

CudaProbe probe() {
  CudaProbe result;
  result.reason = "built without CUDA";
  result.looked_for =
      "a CUDA backend in this build of libdlcuda (DLCUDA_CUDA was off, or no toolkit was found)";
  return result;
}

void* allocate(int, std::size_t) { refuse(); }
void deallocate(int, void*) noexcept {}
void* allocate_pinned(std::size_t) { refuse(); }
void deallocate_pinned(void*) noexcept {}
bool is_page_locked(const void*) { refuse(); }
void memory_info(int, std::size_t*, std::size_t*) { refuse(); }
void copy(int, void*, const void*, std::size_t, void*) { refuse(); }
void copy_2d(int, void*, std::size_t, const void*, std::size_t, std::size_t, std::size_t, void*) { refuse(); }
void fill_bytes(int, void*, unsigned char, std::size_t, void*) { refuse(); }
void* create_stream(int, bool) { refuse(); }
void destroy_stream(int, void*) noexcept {}
void synchronize(int, void*) { refuse(); }
void* create_event(int, bool) { refuse(); }
void destroy_event(int, void*) noexcept {}
void record_event(int, void*, void*) { refuse(); }
bool event_finished(int, void*) { refuse(); }
void synchronize_event(int, void*) { refuse(); }
void wait_event(int, void*, void*) { refuse(); }
float elapsed_ms(int, void*, void*) { refuse(); }
void make_current(int) { refuse(); }
void begin_capture(int, void*) { refuse(); }
void* end_capture(int, void*, std::size_t*) { refuse(); }
void abandon_capture(int, void*) noexcept {}
void launch_graph(int, void*, void*) { refuse(); }
void destroy_graph(void*) noexcept {}
DeviceScope::DeviceScope(int) : previous_(0) { refuse(); }
DeviceScope::~DeviceScope() = default;
void push_range(const char*) noexcept {}
void pop_range() noexcept {}

}  // namespace dlcuda::cuda

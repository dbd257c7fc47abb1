#include "dlcuda/tests/hostcuda/naive.h"

#include <utility>

#include "dlcuda/core/stream.h"
#include "dlcuda/tests/hostcuda/mock.h"

namespace dlcuda::hostcuda {

void on_current_stream(const char* operation, std::function<void()> work, std::string detail) {
  const std::lock_guard lock(Runtime::instance().mutex);
  const Stream stream = current_stream(Device::cuda(current_device()));
  run_or_record(static_cast<cudaStream_t>(stream.native()),
                {Work::Kind::Library, operation, std::move(detail)}, [work = std::move(work)] {
                  work();
                  return cudaSuccess;
                });
}

}  // namespace dlcuda::hostcuda

#include "dlcuda/core/stream.h"

#include <array>
#include <mutex>
#include <vector>

#include "dlcuda/core/check.h"
#include "dlcuda/core/cuda/runtime.h"

namespace dlcuda {
namespace {

// Native streams are never destroyed. cudaStreamDestroy returns while work is still pending and its address
// may be given to the next stream, which the caching allocator would then take for the old one and hand it
// memory that is still in use. Streams that come back from here are ordered behind their own earlier work
// instead.
class StreamPool {
 public:
  void* take(int device, StreamPriority priority) {
    const std::lock_guard lock(mutex_);
    if (std::size_t(device) >= idle_.size()) idle_.resize(std::size_t(device) + 1);
    Idle& idle = idle_[std::size_t(device)][std::size_t(priority)];
    if (!idle.streams.empty()) {
      void* native = idle.streams.back();
      idle.streams.pop_back();
      return native;
    }
    idle.streams.reserve(idle.created + 1);  // so that giving back never allocates
    void* native = cuda::create_stream(device, priority == StreamPriority::High);
    ++idle.created;
    return native;
  }

  void give_back(int device, StreamPriority priority, void* native) noexcept {
    const std::lock_guard lock(mutex_);
    idle_[std::size_t(device)][std::size_t(priority)].streams.push_back(native);
  }

 private:
  struct Idle {
    std::vector<void*> streams;
    std::size_t created = 0;
  };
  std::mutex mutex_;
  std::vector<std::array<Idle, 2>> idle_;  // by device and priority
};

// Lives as long as the process: handles in static objects are released in any order.
StreamPool& stream_pool() {
  static auto* pool = new StreamPool;
  return *pool;
}

Stream& current_cuda_stream(int device) {
  thread_local std::vector<Stream> streams;
  DLCUDA_CHECK(device >= 0, DeviceError, "a CUDA device's index is not negative, got {}", device);
  while (std::size_t(device) >= streams.size()) streams.emplace_back(Device::cuda(int(streams.size())));
  return streams[std::size_t(device)];
}

}  // namespace

Stream Stream::create(Device device, StreamPriority priority) {
  if (device.is_cpu()) return Stream(device);
  DLCUDA_CHECK(device.index >= 0 && device.index < cuda_probe().count, DeviceError,
               "Stream::create: there is no {}: found {} CUDA device(s){}{}", to_string(device),
               cuda_probe().count, cuda_probe().count == 0 ? ": " : "", cuda_probe().reason);
  const int index = device.index;
  return Stream(device, std::shared_ptr<void>(stream_pool().take(index, priority), [=](void* native) {
                  stream_pool().give_back(index, priority, native);
                }));
}

Stream Stream::borrow(Device device, void* native) {
  DLCUDA_CHECK(
      device.is_cuda() || native == nullptr, DeviceError,
      "Stream::borrow: the CPU has no native streams; pass the CUDA device that the stream belongs to");
  return Stream(device, std::shared_ptr<void>(native, [](void*) {}));
}

void Stream::synchronize() const {
  if (device_.is_cuda()) cuda::synchronize(device_.index, native());
}

Stream current_stream(Device device) {
  return device.is_cpu() ? Stream(device) : current_cuda_stream(device.index);
}

StreamGuard::StreamGuard(Stream stream) : previous_(current_stream(stream.device())) {
  if (stream.device().is_cuda()) current_cuda_stream(stream.device().index) = std::move(stream);
}

StreamGuard::~StreamGuard() {
  if (previous_.device().is_cuda()) current_cuda_stream(previous_.device().index) = std::move(previous_);
}

Event::Event(Device device, bool timing) : device_(device), timing_(timing) {
  if (device.is_cpu()) return;
  const int index = device.index;
  native_ = std::shared_ptr<void>(cuda::create_event(index, timing),
                                  [index](void* native) { cuda::destroy_event(index, native); });
}

void Event::record(const Stream& stream) {
  DLCUDA_CHECK(stream.device() == device_, DeviceError,
               "Event::record: the event was made for {}, the stream belongs to {}", to_string(device_),
               to_string(stream.device()));
  if (device_.is_cuda()) {
    cuda::record_event(device_.index, native_.get(), stream.native());
  } else if (timing_) {
    recorded_at_ = std::chrono::steady_clock::now();
  }
}

bool Event::finished() const {
  return device_.is_cpu() || cuda::event_finished(device_.index, native_.get());
}

void Event::synchronize() const {
  if (device_.is_cuda()) cuda::synchronize_event(device_.index, native_.get());
}

void Event::block(const Stream& stream) const {
  if (device_.is_cpu()) return;
  if (stream.device().is_cpu()) {
    synchronize();
  } else {
    cuda::wait_event(stream.device().index, native_.get(), stream.native());
  }
}

float Event::elapsed_ms_since(const Event& start) const {
  DLCUDA_CHECK(timing_ && start.timing_, ArgumentError,
               "Event::elapsed_ms_since: both events must be made with timing: Event(device, true)");
  DLCUDA_CHECK(device_ == start.device_, ArgumentError,
               "Event::elapsed_ms_since: the events belong to two devices, {} and {}",
               to_string(start.device_), to_string(device_));
  if (device_.is_cuda()) return cuda::elapsed_ms(device_.index, start.native_.get(), native_.get());
  return std::chrono::duration<float, std::milli>(recorded_at_ - start.recorded_at_).count();
}

}  // namespace dlcuda

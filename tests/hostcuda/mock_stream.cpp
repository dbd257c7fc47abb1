// Streams and events. All work is done when a call returns, so they only keep order, time and misuse.
#include <chrono>
#include <memory>

#include "dlcuda/core/check.h"
#include "dlcuda/tests/hostcuda/mock.h"

struct CUstream_st {
  std::uint64_t number;
};

struct CUevent_st {
  std::uint64_t number;
  bool timing;
  bool recorded = false;
  std::chrono::steady_clock::time_point time{};
};

namespace dlcuda::hostcuda {
namespace {

template <typename T>
struct Handles {
  std::map<const T*, std::unique_ptr<T>> live;
  std::uint64_t made = 0;

  T* add(std::unique_ptr<T> handle) {
    T* plain = handle.get();
    live.emplace(plain, std::move(handle));
    return plain;
  }
  void check(const T* handle, const char* what, std::string_view call) const {
    DLCUDA_CHECK(live.contains(handle), hostcuda::ApiMisuse,
                 "{}: {} is not a live {} (destroyed before, or never made)", call,
                 static_cast<const void*>(handle), what);
  }
};

// Outlive every static object that still destroys a handle.
auto& streams = *new Handles<CUstream_st>;
auto& events = *new Handles<CUevent_st>;

void check_event(cudaEvent_t event, std::string_view call) { events.check(event, "event", call); }

}  // namespace

void check_stream(cudaStream_t stream, std::string_view call) {
  if (stream != nullptr) streams.check(stream, "stream", call);
}

std::string describe_streams_and_events() {
  std::string lines;
  for (const auto& [handle, stream] : streams.live) lines += fmt::format("stream #{}\n", stream->number);
  for (const auto& [handle, event] : events.live) lines += fmt::format("event #{}\n", event->number);
  return lines;
}

void count_streams_and_events(Counters& counters) {
  counters.streams = streams.live.size();
  counters.events = events.live.size();
}

}  // namespace dlcuda::hostcuda

using namespace dlcuda::hostcuda;

cudaError_t cudaStreamCreate(cudaStream_t* stream) {
  return cudaStreamCreateWithFlags(stream, cudaStreamDefault);
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned flags) {
  return api_call(CallKind::Ordinary, [&] {
    if (flags > cudaStreamNonBlocking) return cudaErrorInvalidValue;
    *stream = streams.add(std::make_unique<CUstream_st>(CUstream_st{++streams.made}));
    return cudaSuccess;
  });
}

cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  return api_call(CallKind::Releases, [&] {
    streams.check(stream, "stream", "cudaStreamDestroy");
    streams.live.erase(stream);
    return cudaSuccess;
  });
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  return api_call(CallKind::Ordinary, [&] {
    check_stream(stream, "cudaStreamSynchronize");
    return cudaSuccess;
  });
}

cudaError_t cudaStreamQuery(cudaStream_t stream) {
  return api_call(CallKind::Ordinary, [&] {
    check_stream(stream, "cudaStreamQuery");
    return cudaSuccess;
  });
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned) {
  return api_call(CallKind::Ordinary, [&] {
    check_stream(stream, "cudaStreamWaitEvent");
    check_event(event, "cudaStreamWaitEvent");
    return cudaSuccess;
  });
}

cudaError_t cudaEventCreate(cudaEvent_t* event) { return cudaEventCreateWithFlags(event, cudaEventDefault); }

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned flags) {
  return api_call(CallKind::Ordinary, [&] {
    const bool timing = (flags & cudaEventDisableTiming) == 0;
    *event = events.add(std::make_unique<CUevent_st>(CUevent_st{++events.made, timing}));
    return cudaSuccess;
  });
}

cudaError_t cudaEventDestroy(cudaEvent_t event) {
  return api_call(CallKind::Releases, [&] {
    check_event(event, "cudaEventDestroy");
    events.live.erase(event);
    return cudaSuccess;
  });
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  return api_call(CallKind::Ordinary, [&] {
    check_event(event, "cudaEventRecord");
    check_stream(stream, "cudaEventRecord");
    event->recorded = true;
    event->time = std::chrono::steady_clock::now();
    return cudaSuccess;
  });
}

cudaError_t cudaEventQuery(cudaEvent_t event) {
  return api_call(CallKind::Ordinary, [&] {
    check_event(event, "cudaEventQuery");
    return cudaSuccess;
  });
}

cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  return api_call(CallKind::Ordinary, [&] {
    check_event(event, "cudaEventSynchronize");
    return cudaSuccess;
  });
}

cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t start, cudaEvent_t end) {
  return api_call(CallKind::Ordinary, [&] {
    check_event(start, "cudaEventElapsedTime");
    check_event(end, "cudaEventElapsedTime");
    if (!start->timing || !end->timing || !start->recorded || !end->recorded)
      return cudaErrorInvalidResourceHandle;
    *milliseconds = std::chrono::duration<float, std::milli>(end->time - start->time).count();
    return cudaSuccess;
  });
}

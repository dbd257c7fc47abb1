// Streams, events and graphs. All work is done when a call returns, so they only keep order, time and misuse;
// a stream that is being recorded keeps the work instead.
#include <algorithm>
#include <chrono>
#include <memory>
#include <vector>

#include "dlcuda/core/check.h"
#include "dlcuda/tests/hostcuda/mock.h"

struct CUgraph_st {
  std::uint64_t number;
  std::vector<std::function<cudaError_t()>> nodes;
};

struct CUgraphExec_st {
  std::uint64_t number;
  std::vector<std::function<cudaError_t()>> nodes;
};

struct CUstream_st {
  std::uint64_t number;
  int priority = 0;
  std::unique_ptr<CUgraph_st> recording = nullptr;
  bool spoilt = false;
};

struct CUevent_st {
  std::uint64_t number;
  bool timing;
  bool recorded = false;
  bool in_graph = false;  // recorded on a stream that was itself being recorded
  std::chrono::steady_clock::time_point time{};
};

namespace dlcuda::hostcuda {
namespace {

constexpr int kHighestPriority = -5;  // what GPUs of today have

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
auto& graphs = *new Handles<CUgraph_st>;
auto& runnables = *new Handles<CUgraphExec_st>;

// The stream that this thread records, and how strict it is about it.
thread_local cudaStream_t stream_of_thread = nullptr;
thread_local cudaStreamCaptureMode mode_of_thread = cudaStreamCaptureModeGlobal;

/// For calls that wait for a stream or an event.
cudaError_t refuse_to_wait_for(cudaStream_t stream) {
  if (!is_recording(stream)) return cudaSuccess;
  stream->spoilt = true;
  return cudaErrorStreamCaptureUnsupported;
}

void check_event(cudaEvent_t event, std::string_view call) { events.check(event, "event", call); }

}  // namespace

void check_stream(cudaStream_t stream, std::string_view call) {
  if (stream != nullptr) streams.check(stream, "stream", call);
}

bool is_recording(cudaStream_t stream) { return stream != nullptr && stream->recording != nullptr; }

cudaError_t run_or_record(cudaStream_t stream, const Work& described, std::function<cudaError_t()> work) {
  if (const DryRun& dry_run = Runtime::instance().dry_run) {
    dry_run(described);
    return cudaSuccess;
  }
  if (!is_recording(stream)) return work();
  DLCUDA_CHECK(stream == stream_of_thread, hostcuda::ApiMisuse,
               "work for stream #{} comes from another thread than the one that records it", stream->number);
  stream->recording->nodes.push_back(std::move(work));
  return cudaSuccess;
}

cudaError_t refuse_while_recording() {
  if (stream_of_thread == nullptr || mode_of_thread == cudaStreamCaptureModeRelaxed) return cudaSuccess;
  stream_of_thread->spoilt = true;
  return cudaErrorStreamCaptureUnsupported;
}

std::string describe_streams_and_events() {
  std::string lines;
  for (const auto& [handle, stream] : streams.live) lines += fmt::format("stream #{}\n", stream->number);
  for (const auto& [handle, event] : events.live) lines += fmt::format("event #{}\n", event->number);
  for (const auto& [handle, graph] : graphs.live) lines += fmt::format("graph #{}\n", graph->number);
  for (const auto& [handle, graph] : runnables.live) {
    lines += fmt::format("runnable graph #{}\n", graph->number);
  }
  return lines;
}

void count_streams_and_events(Counters& counters) {
  counters.streams = streams.live.size();
  counters.events = events.live.size();
  counters.graphs = graphs.live.size() + runnables.live.size();
}

}  // namespace dlcuda::hostcuda

using namespace dlcuda::hostcuda;

cudaError_t cudaStreamCreate(cudaStream_t* stream) {
  return cudaStreamCreateWithFlags(stream, cudaStreamDefault);
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned flags) {
  return cudaStreamCreateWithPriority(stream, flags, 0);
}

cudaError_t cudaStreamCreateWithPriority(cudaStream_t* stream, unsigned flags, int priority) {
  return api_call(CallKind::Ordinary, [&] {
    if (flags > cudaStreamNonBlocking) return cudaErrorInvalidValue;
    const int within = std::clamp(priority, kHighestPriority, 0);  // as CUDA does with others
    *stream = streams.add(std::make_unique<CUstream_st>(CUstream_st{++streams.made, within}));
    return cudaSuccess;
  });
}

cudaError_t cudaStreamGetPriority(cudaStream_t stream, int* priority) {
  return api_call(CallKind::Ordinary, [&] {
    check_stream(stream, "cudaStreamGetPriority");
    *priority = stream == nullptr ? 0 : stream->priority;
    return cudaSuccess;
  });
}

cudaError_t cudaDeviceGetStreamPriorityRange(int* lowest, int* highest) {
  return api_call(CallKind::Ordinary, [&] {
    *lowest = 0;
    *highest = kHighestPriority;
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
    return refuse_to_wait_for(stream);
  });
}

cudaError_t cudaStreamQuery(cudaStream_t stream) {
  return api_call(CallKind::Ordinary, [&] {
    check_stream(stream, "cudaStreamQuery");
    return refuse_to_wait_for(stream);
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
    event->in_graph = is_recording(stream);
    event->time = std::chrono::steady_clock::now();
    return cudaSuccess;
  });
}

cudaError_t cudaEventQuery(cudaEvent_t event) {
  return api_call(CallKind::Ordinary, [&] {
    check_event(event, "cudaEventQuery");
    return event->in_graph ? cudaErrorCapturedEvent : cudaSuccess;
  });
}

cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  return api_call(CallKind::Ordinary, [&] {
    check_event(event, "cudaEventSynchronize");
    return event->in_graph ? cudaErrorCapturedEvent : cudaSuccess;
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

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode mode) {
  return api_call(CallKind::Ordinary, [&] {
    check_stream(stream, "cudaStreamBeginCapture");
    if (stream == nullptr) return cudaErrorStreamCaptureUnsupported;  // the default stream
    if (is_recording(stream) || stream_of_thread != nullptr) return cudaErrorInvalidValue;
    stream->recording = std::make_unique<CUgraph_st>(CUgraph_st{++graphs.made, {}});
    stream->spoilt = false;
    stream_of_thread = stream;
    mode_of_thread = mode;
    return cudaSuccess;
  });
}

cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  return api_call(CallKind::Releases, [&] {
    *graph = nullptr;
    check_stream(stream, "cudaStreamEndCapture");
    if (!is_recording(stream)) return cudaErrorInvalidValue;
    if (stream != stream_of_thread) return cudaErrorStreamCaptureWrongThread;
    auto recorded = std::move(stream->recording);
    stream_of_thread = nullptr;
    if (stream->spoilt) return cudaErrorStreamCaptureInvalidated;
    *graph = graphs.add(std::move(recorded));
    return cudaSuccess;
  });
}

cudaError_t cudaThreadExchangeStreamCaptureMode(cudaStreamCaptureMode* mode) {
  return api_call(CallKind::Ordinary, [&] {
    std::swap(*mode, mode_of_thread);
    return cudaSuccess;
  });
}

cudaError_t cudaGraphGetNodes(cudaGraph_t graph, cudaGraphNode_t*, std::size_t* count) {
  return api_call(CallKind::Ordinary, [&] {
    graphs.check(graph, "graph", "cudaGraphGetNodes");
    *count = graph->nodes.size();
    return cudaSuccess;
  });
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t* runnable, cudaGraph_t graph, unsigned long long) {
  return api_call(CallKind::Ordinary, [&] {
    graphs.check(graph, "graph", "cudaGraphInstantiate");
    *runnable =
        runnables.add(std::make_unique<CUgraphExec_st>(CUgraphExec_st{++runnables.made, graph->nodes}));
    return cudaSuccess;
  });
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t runnable, cudaStream_t stream) {
  return api_call(CallKind::Ordinary, [&] {
    runnables.check(runnable, "runnable graph", "cudaGraphLaunch");
    check_stream(stream, "cudaGraphLaunch");
    for (const auto& node : runnable->nodes) {
      if (const cudaError_t error = node(); error != cudaSuccess) return error;
    }
    return cudaSuccess;
  });
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t runnable) {
  return api_call(CallKind::Releases, [&] {
    runnables.check(runnable, "runnable graph", "cudaGraphExecDestroy");
    runnables.live.erase(runnable);
    return cudaSuccess;
  });
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  return api_call(CallKind::Releases, [&] {
    graphs.check(graph, "graph", "cudaGraphDestroy");
    graphs.live.erase(graph);
    return cudaSuccess;
  });
}

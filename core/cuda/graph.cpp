#include "dlcuda/core/cuda/graph.h"

#include <cuda_runtime.h>

#include "dlcuda/core/cuda/launch.cuh"
#include "dlcuda/core/cuda/runtime.h"

namespace dlcuda::cuda {
namespace {

cudaStream_t as_stream(void* stream) { return static_cast<cudaStream_t>(stream); }

/// Ends with the scope. The runnable graph does not need it any more.
struct OwnedGraph {
  cudaGraph_t graph = nullptr;
  ~OwnedGraph() {
    if (graph != nullptr && cudaGraphDestroy(graph) != cudaSuccess) cudaGetLastError();
  }
};

}  // namespace

// Thread-local: other threads go on allocating and copying while this one records.
void begin_capture(int device, void* stream) {
  const DeviceScope scope(device);
  DLCUDA_CUDA_CHECK(cudaStreamBeginCapture(as_stream(stream), cudaStreamCaptureModeThreadLocal));
}

void* end_capture(int device, void* stream, std::size_t* nodes) {
  OwnedGraph recorded;
  // Before anything else can fail: the stream must not go on recording.
  DLCUDA_CUDA_CHECK(cudaStreamEndCapture(as_stream(stream), &recorded.graph));
  const DeviceScope scope(device);
  DLCUDA_CUDA_CHECK(cudaGraphGetNodes(recorded.graph, nullptr, nodes));
  cudaGraphExec_t runnable = nullptr;
  DLCUDA_CUDA_CHECK(cudaGraphInstantiate(&runnable, recorded.graph, 0));
  return runnable;
}

void abandon_capture(int, void* stream) noexcept {
  OwnedGraph recorded;
  if (cudaStreamEndCapture(as_stream(stream), &recorded.graph) != cudaSuccess) cudaGetLastError();
}

void launch_graph(int device, void* graph, void* stream) {
  const DeviceScope scope(device);
  DLCUDA_CUDA_CHECK(cudaGraphLaunch(static_cast<cudaGraphExec_t>(graph), as_stream(stream)));
}

void destroy_graph(void* graph) noexcept {
  if (cudaGraphExecDestroy(static_cast<cudaGraphExec_t>(graph)) != cudaSuccess) cudaGetLastError();
}

}  // namespace dlcuda::cuda

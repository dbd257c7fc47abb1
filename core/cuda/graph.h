// CUDA graphs without CUDA's headers. graph.cpp implements this with cudart, core/no_cuda.cpp refuses.
#pragma once

#include <cstddef>

namespace dlcuda::cuda {

/// From here on this thread's work on `stream` is recorded instead of run. The stream must not be the default
/// one. What a stream cannot record throws capture::Refused.
void begin_capture(int device, void* stream);
/// Ends the recording and makes it ready to run. nodes: how many launches, copies and fills it holds.
void* end_capture(int device, void* stream, std::size_t* nodes);
/// Ends the recording and forgets it.
void abandon_capture(int device, void* stream) noexcept;

void launch_graph(int device, void* graph, void* stream);
/// None of its launches may be pending.
void destroy_graph(void* graph) noexcept;

}  // namespace dlcuda::cuda

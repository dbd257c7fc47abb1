// Ranges for NVIDIA's tools (Nsight Systems). Without such a tool attached, a call is a load and a branch;
// without CUDA, core/no_cuda.cpp does nothing.
#pragma once

namespace dlcuda::cuda {

/// Opens a range of the calling thread; ranges nest.
void push_range(const char* name) noexcept;
/// Closes the innermost one.
void pop_range() noexcept;

}  // namespace dlcuda::cuda

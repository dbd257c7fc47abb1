// NVIDIA's libraries are opened when they are first needed, so that one binary also runs where there are
// none.
#pragma once

#include <initializer_list>

namespace dlcuda::kernels::cuda {

/// Opens the first of `names` that can be opened: in the directories of DLCUDA_LIBRARY_PATH (separated by
/// colons) first, then where the system looks. Throws DeviceError naming `purpose` and everything that was
/// tried. Never closed.
void* open_library(const char* purpose, std::initializer_list<const char*> names);

/// Those that are used, opened once; they throw as open_library() does.
void* open_cublaslt();
void* open_cudnn_library();

/// A function of an opened library; throws DeviceError when it has none of that name.
void* find_symbol(void* library, const char* purpose, const char* name);

}  // namespace dlcuda::kernels::cuda

// The few macros of the project: visibility, host-device functions, and the x86-64 level a loop is built for.
#pragma once

// Written after a namespace's name in a public header: what is declared in that block is exported from the
// shared library; everything else is hidden.
#define DLCUDA_API __attribute__((visibility("default")))

// Never emitted out of line. CPU loops are compiled for several x86-64 levels; an ordinary inline function
// would be merged across them by the linker, and a machine without AVX-512 could be handed the AVX-512 copy.
#define DLCUDA_INLINE __attribute__((always_inline)) inline

// Per-element maths that both the CPU loops and the CUDA kernels call.
#if defined(__CUDACC__)
#define DLCUDA_HD __host__ __device__ __forceinline__
#else
#define DLCUDA_HD DLCUDA_INLINE
#endif

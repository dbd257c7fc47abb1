// Correct kernels, one for each thing that the shim must do as a GPU does (shim_test.cpp).
#pragma once

#include <cuda_runtime.h>

namespace dlcuda::hostcuda::sample {

/// out[b] = sum of in[b * threads ... (b + 1) * threads), by warp shuffles and shared memory.
void block_sums(float* out, const float* in, int blocks, int threads, cudaStream_t stream = nullptr);
/// For each lane of one block the four shuffles' results: out[4 * lane + {0, 1, 2, 3}] = value of the lane
/// that shfl(source), up(delta), down(delta), xor(delta) read, within segments of `width`.
void shuffles(int* out, int threads, int source, int delta, int width);
/// Votes of one block of `threads` on "my index is below `below`": out[4 * t + {0, 1, 2, 3}] = ballot, any,
/// all of the warp, __syncthreads_count of the block; out[4 * threads + {0, 1}] = __syncthreads_and,
/// __syncthreads_or.
void votes(unsigned* out, int threads, int below);
/// out[physical index of the thread] = its physical index, for any grid and block.
void echo_indices(int* out, dim3 grid, dim3 block);
/// Reverses each run of `threads` elements through dynamic shared memory.
void reverse_runs(float* data, int runs, int threads);
/// counts[value] += 1 for each of n values; extremes[0], extremes[1] = least and greatest.
void histogram(unsigned* counts, int* extremes, const int* values, int n);
/// The block that finishes last adds up what all blocks left: out[0] = blocks * (blocks + 1) / 2.
void last_block_sums(unsigned* out, unsigned* scratch, unsigned* ticket, int blocks);
/// Adds `amount` to n elements, four at a time where it can.
void add(float* data, int n, float amount);
/// Uses `bytes` of dynamic shared memory.
void with_shared_bytes(float* out, unsigned long bytes);
/// Any launch shape, for the limits.
void nothing(dim3 grid, dim3 block, unsigned long shared_bytes);

}  // namespace dlcuda::hostcuda::sample

// Kernels that are wrong on purpose, each in one way: the shim must catch them (planted_bugs_test.cpp).
#pragma once

namespace dlcuda::hostcuda::planted {

/// out[i] = in[i + 1] for i < n, where both hold n elements.
void read_past_the_end(float* out, const float* in, int n);
/// out[n] = 1, where `out` holds n elements.
void write_past_the_end(float* out, int n);
/// Writes all elements but the last.
void leave_the_last_unwritten(float* out, int n);
/// Sums 256 elements in shared memory, without the barrier that each halving needs when `with_barriers` is
/// false.
void sum_256(float* out, const float* in, bool with_barriers);
/// Hands values from lane to lane through shared memory, without __syncwarp.
void rotate_without_syncwarp(float* out, const float* in);
/// Returns from threads beyond n before the block's barrier.
void exit_before_barrier(float* out, int n);
/// The two halves of the block wait at different __syncthreads.
void barrier_in_both_branches(float* out);
/// Lane 5 shuffles with a mask that lacks it.
void lane_outside_its_mask(float* out);
/// Lane 7 never comes to the shuffle that names it.
void lane_missing_in_shuffle(float* out);
/// Lanes 0 to 15 shuffle among themselves, but read from lane 16.
void shuffle_from_outside_the_mask(float* out);
/// A full-warp reduction in a block of 20 threads.
void reduce_over_a_partial_warp(float* out);
/// Adds up shared memory that nobody wrote.
void read_unwritten_shared(float* out);
/// Writes one element past a __shared__ array.
void overrun_static_shared(float* out);
/// Writes one element past the dynamic shared memory.
void overrun_dynamic_shared(float* out);
/// Loads a float4 from in + 1.
void load_misaligned_float4(float* out, const float* in);

}  // namespace dlcuda::hostcuda::planted

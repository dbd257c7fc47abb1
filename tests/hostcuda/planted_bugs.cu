#include "dlcuda/tests/hostcuda/planted_bugs.h"

#include "dlcuda/core/cuda/launch.cuh"
#include "dlcuda/core/cuda/shared.cuh"

namespace dlcuda::hostcuda::planted {
namespace {

using cuda::dynamic_shared;
using cuda::launch;

__global__ void read_past_the_end_kernel(float* out, const float* in, int n) {
  const int i = int(blockIdx.x * blockDim.x + threadIdx.x);
  if (i < n) out[i] = in[i + 1];
}

__global__ void write_past_the_end_kernel(float* out, int n) {
  if (threadIdx.x == 0) out[n] = 1.0f;
}

__global__ void leave_the_last_unwritten_kernel(float* out, int n) {
  const int i = int(blockIdx.x * blockDim.x + threadIdx.x);
  if (i < n - 1) out[i] = 1.0f;
}

template <bool kBarriers>
__global__ void sum_256_kernel(float* out, const float* in) {
  __shared__ float partial[256];
  partial[threadIdx.x] = in[threadIdx.x];
  for (unsigned half = 128; half > 0; half /= 2) {
    if constexpr (kBarriers) __syncthreads();
    if (threadIdx.x < half) partial[threadIdx.x] += partial[threadIdx.x + half];
  }
  if (threadIdx.x == 0) out[0] = partial[0];
}

__global__ void rotate_without_syncwarp_kernel(float* out, const float* in) {
  __shared__ float lanes[32];
  lanes[threadIdx.x] = in[threadIdx.x];
  out[threadIdx.x] = lanes[(threadIdx.x + 1) % 32];
}

__global__ void exit_before_barrier_kernel(float* out, int n) {
  const int i = int(threadIdx.x);
  if (i >= n) return;
  __syncthreads();
  out[i] = 1.0f;
}

__global__ void barrier_in_both_branches_kernel(float* out) {
  if (threadIdx.x < 32) {
    __syncthreads();
  } else {
    __syncthreads();
  }
  out[threadIdx.x] = 1.0f;
}

__global__ void lane_outside_its_mask_kernel(float* out) {
  out[threadIdx.x] = __shfl_sync(0xffffffffu & ~(1u << 5), 1.0f, 0);
}

__global__ void lane_missing_in_shuffle_kernel(float* out) {
  if (threadIdx.x == 7) return;
  out[threadIdx.x] = __shfl_sync(0xffffffffu, 1.0f, 0);
}

__global__ void shuffle_from_outside_the_mask_kernel(float* out) {
  if (threadIdx.x < 16) out[threadIdx.x] = __shfl_down_sync(0xffffu, 1.0f, 1);
}

__global__ void reduce_over_a_partial_warp_kernel(float* out) {
  float sum = 1.0f;
  for (int distance = 16; distance > 0; distance /= 2)
    sum += __shfl_down_sync(0xffffffffu, sum, unsigned(distance));
  if (threadIdx.x == 0) out[0] = sum;
}

template <typename T>
__global__ void read_unwritten_shared_kernel(T* out) {
  __shared__ T sums[8];
  sums[threadIdx.x] += T(1);
  out[threadIdx.x] = sums[threadIdx.x];
}

__global__ void overrun_static_shared_kernel(float* out) {
  __shared__ float array[8];
  float* values = array;
  asm("" : "+r"(values));  // or UBSan, knowing the array, would be faster than ASan
  for (unsigned i = threadIdx.x; i <= 8; ++i) values[i] = 1.0f;
  __syncthreads();
  out[threadIdx.x] = values[threadIdx.x];
}

__global__ void overrun_dynamic_shared_kernel(float* out) {
  auto* values = dynamic_shared<float>();
  values[threadIdx.x + 1] = 1.0f;
  __syncthreads();
  out[threadIdx.x] = values[threadIdx.x];
}

__global__ void load_misaligned_float4_kernel(float* out, const float* in) {
  const float4 v = *reinterpret_cast<const float4*>(in + 1);
  out[0] = v.x + v.y + v.z + v.w;
}

}  // namespace

void read_past_the_end(float* out, const float* in, int n) {
  launch("read_past_the_end", read_past_the_end_kernel, (n + 255) / 256, 256, 0, nullptr, out, in, n);
}

void write_past_the_end(float* out, int n) {
  launch("write_past_the_end", write_past_the_end_kernel, 1, 32, 0, nullptr, out, n);
}

void leave_the_last_unwritten(float* out, int n) {
  launch("leave_the_last_unwritten", leave_the_last_unwritten_kernel, (n + 255) / 256, 256, 0, nullptr, out,
         n);
}

void sum_256(float* out, const float* in, bool with_barriers) {
  launch("sum_256", with_barriers ? sum_256_kernel<true> : sum_256_kernel<false>, 1, 256, 0, nullptr, out,
         in);
}

void rotate_without_syncwarp(float* out, const float* in) {
  launch("rotate_without_syncwarp", rotate_without_syncwarp_kernel, 1, 32, 0, nullptr, out, in);
}

void exit_before_barrier(float* out, int n) {
  launch("exit_before_barrier", exit_before_barrier_kernel, 1, 128, 0, nullptr, out, n);
}

void barrier_in_both_branches(float* out) {
  launch("barrier_in_both_branches", barrier_in_both_branches_kernel, 1, 64, 0, nullptr, out);
}

void lane_outside_its_mask(float* out) {
  launch("lane_outside_its_mask", lane_outside_its_mask_kernel, 1, 32, 0, nullptr, out);
}

void lane_missing_in_shuffle(float* out) {
  launch("lane_missing_in_shuffle", lane_missing_in_shuffle_kernel, 1, 32, 0, nullptr, out);
}

void shuffle_from_outside_the_mask(float* out) {
  launch("shuffle_from_outside_the_mask", shuffle_from_outside_the_mask_kernel, 1, 32, 0, nullptr, out);
}

void reduce_over_a_partial_warp(float* out) {
  launch("reduce_over_a_partial_warp", reduce_over_a_partial_warp_kernel, 1, 20, 0, nullptr, out);
}

void read_unwritten_shared(float* out) {
  launch("read_unwritten_shared", read_unwritten_shared_kernel<float>, 1, 8, 0, nullptr, out);
}

void overrun_static_shared(float* out) {
  launch("overrun_static_shared", overrun_static_shared_kernel, 1, 8, 0, nullptr, out);
}

void overrun_dynamic_shared(float* out) {
  launch("overrun_dynamic_shared", overrun_dynamic_shared_kernel, 1, 8, 8 * sizeof(float), nullptr, out);
}

void load_misaligned_float4(float* out, const float* in) {
  launch("load_misaligned_float4", load_misaligned_float4_kernel, 1, 1, 0, nullptr, out, in);
}

}  // namespace dlcuda::hostcuda::planted

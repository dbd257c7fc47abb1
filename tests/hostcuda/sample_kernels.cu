#include "dlcuda/tests/hostcuda/sample_kernels.h"

#include "dlcuda/core/cuda/launch.cuh"
#include "dlcuda/core/cuda/shared.cuh"

namespace dlcuda::hostcuda::sample {
namespace {

using cuda::dynamic_shared;
using cuda::launch;

constexpr unsigned kFullMask = 0xffffffffu;

__device__ __forceinline__ float warp_sum(float value) {
#pragma unroll
  for (int distance = 16; distance > 0; distance /= 2) value += __shfl_xor_sync(kFullMask, value, distance);
  return value;
}

__global__ void __launch_bounds__(1024) block_sums_kernel(float* out, const float* in) {
  __shared__ float warps[32];
  const unsigned warp = threadIdx.x / warpSize, lane = threadIdx.x % warpSize;
  const float sum = warp_sum(in[blockIdx.x * blockDim.x + threadIdx.x]);
  if (lane == 0) warps[warp] = sum;
  __syncthreads();
  if (warp == 0) {
    const float total = warp_sum(lane < blockDim.x / warpSize ? warps[lane] : 0.0f);
    if (lane == 0) out[blockIdx.x] = total;
  }
}

__global__ void shuffles_kernel(int* out, int source, int delta, int width) {
  const int lane = int(threadIdx.x);
  int4 read;
  read.x = __shfl_sync(kFullMask, lane, source, width);
  read.y = __shfl_up_sync(kFullMask, lane, unsigned(delta), width);
  read.z = __shfl_down_sync(kFullMask, lane, unsigned(delta), width);
  read.w = __shfl_xor_sync(kFullMask, lane, delta, width);
  reinterpret_cast<int4*>(out)[lane] = read;
}

__global__ void votes_kernel(unsigned* out, int below) {
  const bool vote = int(threadIdx.x) < below;
  const unsigned ballot = __ballot_sync(kFullMask, vote);
  const int any = __any_sync(kFullMask, vote), all = __all_sync(kFullMask, vote);
  const int count = __syncthreads_count(vote);
  reinterpret_cast<uint4*>(out)[threadIdx.x] =
      make_uint4(ballot, unsigned(any), unsigned(all), unsigned(count));
  const int block_and = __syncthreads_and(vote), block_or = __syncthreads_or(vote);
  if (threadIdx.x == 0) {
    out[4 * blockDim.x] = unsigned(block_and);
    out[4 * blockDim.x + 1] = unsigned(block_or);
  }
}

__global__ void echo_indices_kernel(int* out) {
  const unsigned block = (blockIdx.z * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x;
  const unsigned thread = (threadIdx.z * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x;
  const unsigned index = block * blockDim.x * blockDim.y * blockDim.z + thread;
  out[index] = int(index);
}

__global__ void reverse_runs_kernel(float* data) {
  auto* run = dynamic_shared<float>();
  float* mine = data + blockIdx.x * blockDim.x;
  run[threadIdx.x] = mine[threadIdx.x];
  __syncthreads();
  mine[threadIdx.x] = run[blockDim.x - 1 - threadIdx.x];
}

__global__ void histogram_kernel(unsigned* counts, int* extremes, const int* values, int n) {
  for (int i = int(blockIdx.x * blockDim.x + threadIdx.x); i < n; i += int(gridDim.x * blockDim.x)) {
    atomicAdd(&counts[values[i]], 1u);
    atomicMin(&extremes[0], values[i]);
    atomicMax(&extremes[1], values[i]);
  }
}

__global__ void last_block_sums_kernel(unsigned* out, unsigned* scratch, unsigned* ticket) {
  __shared__ bool is_last;
  if (threadIdx.x == 0) {
    scratch[blockIdx.x] = blockIdx.x + 1;
    __threadfence();
    is_last = atomicInc(ticket, gridDim.x - 1) == gridDim.x - 1;
  }
  __syncthreads();
  if (is_last && threadIdx.x == 0) {
    unsigned sum = 0;
    for (unsigned b = 0; b < gridDim.x; ++b) sum += scratch[b];
    out[0] = sum;
  }
}

__global__ void add_kernel(float* data, int n, float amount) {
  const int i = 4 * int(blockIdx.x * blockDim.x + threadIdx.x);
  if (i + 4 <= n) {
    auto* four = reinterpret_cast<float4*>(data + i);
    float4 v = *four;
    v.x += amount, v.y += amount, v.z += amount, v.w += amount;
    *four = v;
  } else {
    for (int k = i; k < n; ++k) data[k] += amount;
  }
}

__global__ void with_shared_bytes_kernel(float* out, unsigned long bytes) {
  auto* memory = dynamic_shared<unsigned char>();
  memory[0] = 1;
  memory[bytes - 1] = 2;
  out[0] = float(memory[0] + memory[bytes - 1]);
}

__global__ void nothing_kernel() {}

}  // namespace

void block_sums(float* out, const float* in, int blocks, int threads, cudaStream_t stream) {
  launch("block_sums", block_sums_kernel, blocks, threads, 0, stream, out, in);
}

void shuffles(int* out, int threads, int source, int delta, int width) {
  launch("shuffles", shuffles_kernel, 1, threads, 0, nullptr, out, source, delta, width);
}

void votes(unsigned* out, int threads, int below) {
  launch("votes", votes_kernel, 1, threads, 0, nullptr, out, below);
}

void echo_indices(int* out, dim3 grid, dim3 block) {
  launch("echo_indices", echo_indices_kernel, grid, block, 0, nullptr, out);
}

void reverse_runs(float* data, int runs, int threads) {
  launch("reverse_runs", reverse_runs_kernel, runs, threads, threads * sizeof(float), nullptr, data);
}

void histogram(unsigned* counts, int* extremes, const int* values, int n) {
  launch("histogram", histogram_kernel, 3, 64, 0, nullptr, counts, extremes, values, n);
}

void last_block_sums(unsigned* out, unsigned* scratch, unsigned* ticket, int blocks) {
  launch("last_block_sums", last_block_sums_kernel, blocks, 64, 0, nullptr, out, scratch, ticket);
}

void add(float* data, int n, float amount) {
  launch("add", add_kernel, (n + 1023) / 1024, 256, 0, nullptr, data, n, amount);
}

void with_shared_bytes(float* out, unsigned long bytes) {
  launch("with_shared_bytes", with_shared_bytes_kernel, 1, 1, bytes, nullptr, out, bytes);
}

void nothing(dim3 grid, dim3 block, unsigned long shared_bytes) {
  launch("nothing", nothing_kernel, grid, block, shared_bytes, nullptr);
}

}  // namespace dlcuda::hostcuda::sample

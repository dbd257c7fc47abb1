// Random tensors: x[i] ~ U[low, high), f32, dense, overwritten.
//
// x[i] comes from word i % 4 of Philox(key; i / 4, ordinal, step), the step number read from device memory.
#include "dlcuda/kernels/random.h"

#include "dlcuda/core/error.h"
#include "dlcuda/kernels/cuda/dtype.cuh"
#include "dlcuda/kernels/cuda/launch.cuh"

namespace dlcuda::kernels::cuda {
namespace {

constexpr int kWords = 4;  // of one Philox call

struct Uniform {
  float low, width;

  // Two 24-bit significands have an exact product in f64; rounding it here keeps the compiler from fusing it
  // with the addition, so that the result is the CPU's to the bit.
  __device__ float operator()(std::uint32_t word) const {
    return low + static_cast<float>(static_cast<double>(width) * philox_uniform(word));
  }
};

__global__ void uniform_kernel(float* x, std::int64_t count, Uniform uniform, std::uint64_t key,
                               std::uint32_t ordinal, const std::int64_t* step) {
  for (std::int64_t group = global_thread(); group * kWords < count; group += global_threads()) {
    const Philox4 words =
        philox4x32_10(key, static_cast<std::uint64_t>(group), ordinal, static_cast<std::uint32_t>(*step));
#pragma unroll
    for (int j = 0; j < kWords; ++j) {
      if (group * kWords + j < count) x[group * kWords + j] = uniform(words.value[j]);
    }
  }
}

}  // namespace

void fill_uniform(const TensorView& x, double low, double high, const RandomCall& call) {
  if (x.dtype != DType::F32) refuse_dtype("fill_uniform", "f32", x.dtype);
  const std::int64_t count = x.numel();
  const Uniform uniform{static_cast<float>(low), static_cast<float>(high - low)};
  launch("fill_uniform", uniform_kernel, grid_for(count, kBlock * kWords), kBlock, 0, this_stream(),
         x.as<float>(), count, uniform, call.key, call.ordinal,
         static_cast<const std::int64_t*>(call.step.data<std::int64_t>()));
}

void fill_normal(const TensorView&, double, double, const RandomCall&) {
  throw DeviceError(
      "fill_normal: normal numbers are drawn on the CPU; fill a CPU tensor and move it with to()");
}

}  // namespace dlcuda::kernels::cuda

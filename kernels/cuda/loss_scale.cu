// A dynamic loss scale. gradients: any number of dense tensors in f32, f16 or bf16.
//
//   counts[2] = 1 where any element of any gradient is infinite or NaN (it is 0 before)
//   unscale = 1 / scale or 0, and the scale of the next step, as in functors/loss_scale.h; counts[2] = 0
//
// The addresses of up to kTensors gradients travel in the kernel's parameters together with the number of
// each one's first block; longer lists take several launches. Whoever finds an element stores the same 1: the
// order does not matter. While a label fault stands, unscale is 0 and nothing else changes: the loss is NaN
// then, and says nothing about the scale.
#include "dlcuda/kernels/loss_scale.h"

#include "dlcuda/core/label_fault.h"
#include "dlcuda/kernels/cuda/dtype.cuh"
#include "dlcuda/kernels/cuda/map.cuh"
#include "dlcuda/kernels/cuda/tensor_list.cuh"
#include "dlcuda/kernels/functors/loss_scale.h"

namespace dlcuda::kernels::cuda {
namespace {

constexpr int kTensors = 176;
constexpr std::int64_t kChunk = 16384;  // elements of one block, a multiple of every pack

struct Gradients {
  const void* data[kTensors];
  TensorList<kTensors, kChunk> list;
  DType dtype[kTensors];
};
static_assert(sizeof(Gradients) + sizeof(void*) <= 4096, "kernel parameters are limited to 4 KB");

template <typename T>
__device__ __forceinline__ bool chunk_is_finite(const Gradients& gradients, int tensor) {
  constexpr int kPack = 16 / sizeof(T);
  const auto [begin, count] = gradients.list.chunk_of(static_cast<int>(blockIdx.x), tensor);
  const T* values = static_cast<const T*>(gradients.data[tensor]) + begin;
  const int packs = reinterpret_cast<std::uintptr_t>(values) % 16 == 0 ? count / kPack : 0;
  bool finite = true;
  for (int i = threadIdx.x; i < packs; i += kBlock) {
    const Pack<T, kPack> pack = load_pack<T, kPack>(values, i);
#pragma unroll
    for (int j = 0; j < kPack; ++j) finite = finite && functors::is_finite(static_cast<float>(pack.value[j]));
  }
  for (int i = packs * kPack + threadIdx.x; i < count; i += kBlock) {
    finite = finite && functors::is_finite(static_cast<float>(values[i]));
  }
  return finite;
}

__global__ void find_not_finite_kernel(Gradients gradients, std::int64_t* mark) {
  const int tensor = gradients.list.tensor_of(static_cast<int>(blockIdx.x));
  const bool finite = [&] {
    switch (gradients.dtype[tensor]) {
      case DType::BF16:
        return chunk_is_finite<BFloat16>(gradients, tensor);
      case DType::F16:
        return chunk_is_finite<Half>(gradients, tensor);
      default:
        return chunk_is_finite<float>(gradients, tensor);
    }
  }();
  if (!finite) *mark = 1;
}

__global__ void settle_kernel(float* scale, float* unscale, std::int64_t* counts, LossScaleParams params,
                              const LabelFault* fault) {
  if (fault->classes != 0) {
    *unscale = 0.0f;
  } else {
    functors::settle_loss_scale(counts[2] == 0, *scale, *unscale, counts, params);
  }
  counts[2] = 0;
}

void find_not_finite(std::span<const GradientView> gradients, std::int64_t* mark) {
  Gradients batch{};
  const auto flush = [&] {
    if (batch.list.tensors == 0) return;
    launch("find_not_finite", find_not_finite_kernel, static_cast<unsigned>(batch.list.blocks), kBlock, 0,
           this_stream(), batch, mark);
    batch.list.clear();
  };
  for (const auto& [gradient] : gradients) {
    const std::int64_t count = gradient.numel();
    if (count == 0) continue;
    if (!batch.list.has_room(count)) flush();
    const int i = batch.list.add(count);
    batch.data[i] = gradient.data;
    batch.dtype[i] = gradient.dtype;
  }
  flush();
}

}  // namespace

void settle_loss_scale(std::span<const GradientView> gradients, const LossScaleViews& state,
                       const LossScaleParams& params) {
  auto* const counts = state.counts.as<std::int64_t>();
  find_not_finite(gradients, counts + 2);
  launch("settle_loss_scale", settle_kernel, 1, 1, 0, this_stream(), state.scale.as<float>(),
         state.unscale.as<float>(), counts, params,
         static_cast<const LabelFault*>(label_fault_notes(this_device()).device));
}

}  // namespace dlcuda::kernels::cuda

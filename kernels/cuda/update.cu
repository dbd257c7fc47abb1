// Optimiser updates of many tensors at once: parameters and states in f32, gradients and copies in f32, f16
// or bf16, dense. Arithmetic as in functors/update.h, in f32.
//
//   parameter, state1 and state2 are updated in place from gradient and lr; copy = parameter, rounded
//
// lr (f32) and step (i64) are read from device memory, so that a recorded graph follows a schedule. The
// addresses of up to kTensors tensors travel in the kernel's parameters together with the number of each
// one's first block, in which a block looks up its tensor; longer lists take several launches. Gradients are
// multiplied by unscale (f32, device memory) first, where there is one. While a label fault stands, and where
// unscale is 0, nothing is changed.
#include "dlcuda/kernels/update.h"

#include "dlcuda/core/label_fault.h"
#include "dlcuda/kernels/cuda/dtype.cuh"
#include "dlcuda/kernels/cuda/map.cuh"
#include "dlcuda/kernels/cuda/tensor_list.cuh"
#include "dlcuda/kernels/functors/update.h"

namespace dlcuda::kernels::cuda {
namespace {

constexpr int kTensors = 72;
constexpr std::int64_t kChunk = 8192;  // elements of one block, a multiple of the pack
constexpr int kPack = 4;

struct Batch {
  float* parameter[kTensors];
  const void* gradient[kTensors];
  float* state1[kTensors];
  float* state2[kTensors];
  void* copy[kTensors];  // or null
  TensorList<kTensors, kChunk> list;
  DType dtype[kTensors];          // of gradient and copy
  std::uint8_t vector[kTensors];  // all pointers are aligned for packs
};

struct Sgd {
  const float* lr;
  SgdParams params;

  struct Update {
    functors::SgdUpdate<float> update;
    __device__ void operator()(float& parameter, float gradient, float& velocity, float&) const {
      update(parameter, gradient, velocity);
    }
  };
  __device__ Update prepare() const {
    return {
        {*lr, static_cast<float>(params.momentum), static_cast<float>(params.weight_decay), params.nesterov}};
  }
};

struct RmsProp {
  const float* lr;
  RmsPropParams params;

  __device__ functors::RmsPropUpdate<float> prepare() const {
    return {*lr, static_cast<float>(params.alpha), static_cast<float>(params.epsilon),
            static_cast<float>(params.momentum), static_cast<float>(params.weight_decay)};
  }
};

struct Adam {
  const float* lr;
  const std::int64_t* step;
  AdamParams params;

  __device__ functors::AdamUpdate<float> prepare() const { return {*lr, params, static_cast<double>(*step)}; }
};

static_assert(sizeof(Batch) + sizeof(Adam) + 2 * sizeof(void*) <= 4096,
              "kernel parameters are limited to 4 KB");

/// Of gradients without a loss scale: 1.
__device__ __forceinline__ float factor_of(const float* unscale) {
  return unscale != nullptr ? *unscale : 1.0f;
}

/// A block's chunk. kStates: how many state tensors are read and written.
template <int kStates, typename G, typename Update>
__device__ __forceinline__ void update_chunk(const Batch& batch, int tensor, float factor,
                                             const Update& update) {
  const auto [begin, count] = batch.list.chunk_of(static_cast<int>(blockIdx.x), tensor);
  float* parameter = batch.parameter[tensor] + begin;
  const G* gradient = static_cast<const G*>(batch.gradient[tensor]) + begin;
  float* state1 = kStates > 0 ? batch.state1[tensor] + begin : nullptr;
  float* state2 = kStates > 1 ? batch.state2[tensor] + begin : nullptr;
  G* copy = batch.copy[tensor] != nullptr ? static_cast<G*>(batch.copy[tensor]) + begin : nullptr;

  const int packs = batch.vector[tensor] ? count / kPack : 0;
  for (int i = threadIdx.x; i < packs; i += kBlock) {
    Pack<float, kPack> p = load_pack<float, kPack>(parameter, i), s1{}, s2{};
    const Pack<G, kPack> g = load_pack<G, kPack>(gradient, i);
    if constexpr (kStates > 0) s1 = load_pack<float, kPack>(state1, i);
    if constexpr (kStates > 1) s2 = load_pack<float, kPack>(state2, i);
    Pack<G, kPack> rounded;
#pragma unroll
    for (int j = 0; j < kPack; ++j) {
      update(p.value[j], static_cast<float>(g.value[j]) * factor, s1.value[j], s2.value[j]);
      rounded.value[j] = G(p.value[j]);
    }
    store_pack<float, kPack>(parameter, i, p);
    if constexpr (kStates > 0) store_pack<float, kPack>(state1, i, s1);
    if constexpr (kStates > 1) store_pack<float, kPack>(state2, i, s2);
    if (copy != nullptr) store_pack<G, kPack>(copy, i, rounded);
  }
  for (int i = packs * kPack + threadIdx.x; i < count; i += kBlock) {
    float p = parameter[i], s1 = 0.0f, s2 = 0.0f;
    if constexpr (kStates > 0) s1 = state1[i];
    if constexpr (kStates > 1) s2 = state2[i];
    update(p, static_cast<float>(gradient[i]) * factor, s1, s2);
    parameter[i] = p;
    if constexpr (kStates > 0) state1[i] = s1;
    if constexpr (kStates > 1) state2[i] = s2;
    if (copy != nullptr) copy[i] = G(p);
  }
}

template <int kStates, typename Optimizer>
__global__ void update_kernel(Batch batch, Optimizer optimizer, const float* unscale,
                              const LabelFault* fault) {
  const float factor = factor_of(unscale);
  if (fault->classes != 0 || factor == 0.0f) return;
  // One thread prepares what is the same for all elements: powers in f64 are dear.
  using Update = decltype(optimizer.prepare());
  __shared__ Update shared;
  if (threadIdx.x == 0) shared = optimizer.prepare();
  __syncthreads();
  const Update update = shared;

  const int tensor = batch.list.tensor_of(static_cast<int>(blockIdx.x));
  switch (batch.dtype[tensor]) {
    case DType::BF16:
      return update_chunk<kStates, BFloat16>(batch, tensor, factor, update);
    case DType::F16:
      return update_chunk<kStates, Half>(batch, tensor, factor, update);
    default:
      return update_chunk<kStates, float>(batch, tensor, factor, update);
  }
}

__global__ void count_kernel(std::int64_t* step, const float* unscale, const LabelFault* fault) {
  if (fault->classes == 0 && factor_of(unscale) != 0.0f) ++*step;
}

template <int kStates, typename Optimizer>
void launch_updates(const char* name, std::span<const UpdateTensors> tensors, const TensorView& unscale,
                    const Optimizer& optimizer) {
  const LabelFault* fault = label_fault_notes(this_device()).device;
  Batch batch{};
  const auto flush = [&] {
    launch(name, update_kernel<kStates, Optimizer>, static_cast<unsigned>(batch.list.blocks), kBlock, 0,
           this_stream(), batch, optimizer, unscale.as<const float>(), fault);
    batch.list.clear();
  };
  for (const UpdateTensors& t : tensors) {
    const std::int64_t count = t.parameter.numel();
    if (count == 0) continue;
    if (!batch.list.has_room(count)) flush();
    const int i = batch.list.add(count);
    batch.parameter[i] = t.parameter.as<float>();
    batch.gradient[i] = t.gradient.data;
    batch.state1[i] = t.state1.as<float>();
    batch.state2[i] = t.state2.as<float>();
    batch.copy[i] = t.copy.data;
    batch.dtype[i] = t.gradient.dtype;
    batch.vector[i] = is_aligned(t.parameter.data, 16) && is_aligned(t.gradient.data, 16) &&
                      (kStates < 1 || is_aligned(t.state1.data, 16)) &&
                      (kStates < 2 || is_aligned(t.state2.data, 16)) && is_aligned(t.copy.data, 8);
  }
  flush();
}

}  // namespace

void sgd_update(std::span<const UpdateTensors> tensors, const TensorView& lr, const TensorView& unscale,
                const SgdParams& params) {
  const Sgd sgd{lr.as<const float>(), params};
  if (params.momentum != 0) {
    launch_updates<1>("sgd_update", tensors, unscale, sgd);
  } else {
    launch_updates<0>("sgd_update", tensors, unscale, sgd);
  }
}

void rmsprop_update(std::span<const UpdateTensors> tensors, const TensorView& lr, const TensorView& unscale,
                    const RmsPropParams& params) {
  const RmsProp rmsprop{lr.as<const float>(), params};
  if (params.momentum != 0) {
    launch_updates<2>("rmsprop_update", tensors, unscale, rmsprop);
  } else {
    launch_updates<1>("rmsprop_update", tensors, unscale, rmsprop);
  }
}

void adam_update(std::span<const UpdateTensors> tensors, const TensorView& lr, const TensorView& step,
                 const TensorView& unscale, const AdamParams& params) {
  launch("adam_update", count_kernel, 1, 1, 0, this_stream(), step.as<std::int64_t>(),
         unscale.as<const float>(), static_cast<const LabelFault*>(label_fault_notes(this_device()).device));
  launch_updates<2>("adam_update", tensors, unscale,
                    Adam{lr.as<const float>(), step.as<const std::int64_t>(), params});
}

}  // namespace dlcuda::kernels::cuda

// Optimiser updates of many tensors at once: parameters and states in f32, gradients and copies in f32, f16
// or bf16, dense. Arithmetic as in functors/update.h, in f32.
//
//   parameter, state1 and state2 are updated in place from gradient and lr; copy = parameter, rounded
//
// lr (f32) and step (i64) are read from device memory, so that a recorded graph follows a schedule. The
// addresses of up to kTensors tensors travel in the kernel's parameters together with a table that gives
// every block a tensor and a chunk of it; longer lists take several launches. While a label fault stands,
// nothing is changed.
#include "dlcuda/kernels/update.h"

#include "dlcuda/core/label_fault.h"
#include "dlcuda/kernels/cuda/dtype.cuh"
#include "dlcuda/kernels/cuda/map.cuh"
#include "dlcuda/kernels/functors/update.h"

namespace dlcuda::kernels::cuda {
namespace {

constexpr int kTensors = 44, kBlocks = 320;
constexpr std::int64_t kChunk = 32768;  // elements of one block, a multiple of the pack
constexpr int kPack = 4;

struct Batch {
  float* parameter[kTensors];
  const void* gradient[kTensors];
  float* state1[kTensors];
  float* state2[kTensors];
  void* copy[kTensors];  // or null
  std::int64_t count[kTensors];
  std::int32_t chunk_of_block[kBlocks];
  std::uint8_t tensor_of_block[kBlocks];
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

static_assert(sizeof(Batch) + sizeof(Adam) + sizeof(void*) <= 4096, "kernel parameters are limited to 4 KB");

/// A block's chunk. kStates: how many state tensors are read and written.
template <int kStates, typename G, typename Update>
__device__ __forceinline__ void update_chunk(const Batch& batch, const Update& update) {
  const int tensor = batch.tensor_of_block[blockIdx.x];
  const std::int64_t begin = batch.chunk_of_block[blockIdx.x] * kChunk;
  const std::int64_t left = batch.count[tensor] - begin;
  const int count = static_cast<int>(left < kChunk ? left : kChunk);
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
      update(p.value[j], static_cast<float>(g.value[j]), s1.value[j], s2.value[j]);
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
    update(p, static_cast<float>(gradient[i]), s1, s2);
    parameter[i] = p;
    if constexpr (kStates > 0) state1[i] = s1;
    if constexpr (kStates > 1) state2[i] = s2;
    if (copy != nullptr) copy[i] = G(p);
  }
}

template <int kStates, typename Optimizer>
__global__ void update_kernel(Batch batch, Optimizer optimizer, const LabelFault* fault) {
  if (fault->classes != 0) return;
  // One thread prepares what is the same for all elements: powers in f64 are dear.
  using Update = decltype(optimizer.prepare());
  __shared__ Update shared;
  if (threadIdx.x == 0) shared = optimizer.prepare();
  __syncthreads();
  const Update update = shared;

  switch (batch.dtype[batch.tensor_of_block[blockIdx.x]]) {
    case DType::BF16:
      return update_chunk<kStates, BFloat16>(batch, update);
    case DType::F16:
      return update_chunk<kStates, Half>(batch, update);
    default:
      return update_chunk<kStates, float>(batch, update);
  }
}

__global__ void count_kernel(std::int64_t* step, const LabelFault* fault) {
  if (fault->classes == 0) ++*step;
}

template <int kStates, typename Optimizer>
void launch_updates(const char* name, std::span<const UpdateTensors> tensors, const Optimizer& optimizer) {
  const LabelFault* fault = label_fault_notes(this_device()).device;
  Batch batch{};
  int used = 0, blocks = 0;
  const auto flush = [&] {
    launch(name, update_kernel<kStates, Optimizer>, blocks, kBlock, 0, this_stream(), batch, optimizer,
           fault);
    used = blocks = 0;
  };
  for (const UpdateTensors& t : tensors) {
    const std::int64_t count = t.parameter.numel();
    const auto enter = [&] {
      batch.parameter[used] = t.parameter.as<float>();
      batch.gradient[used] = t.gradient.data;
      batch.state1[used] = t.state1.as<float>();
      batch.state2[used] = t.state2.as<float>();
      batch.copy[used] = t.copy.data;
      batch.count[used] = count;
      batch.dtype[used] = t.gradient.dtype;
      batch.vector[used] = is_aligned(t.parameter.data, 16) && is_aligned(t.gradient.data, 16) &&
                           (kStates < 1 || is_aligned(t.state1.data, 16)) &&
                           (kStates < 2 || is_aligned(t.state2.data, 16)) && is_aligned(t.copy.data, 8);
      return used++;
    };
    if (count == 0) continue;
    int place = enter();
    for (std::int64_t chunk = 0; chunk * kChunk < count; ++chunk) {
      if (blocks == kBlocks) {
        flush();
        place = enter();
      }
      batch.tensor_of_block[blocks] = static_cast<std::uint8_t>(place);
      batch.chunk_of_block[blocks++] = static_cast<std::int32_t>(chunk);
    }
    if (used == kTensors) flush();
  }
  flush();
}

}  // namespace

void sgd_update(std::span<const UpdateTensors> tensors, const TensorView& lr, const SgdParams& params) {
  const Sgd sgd{lr.as<const float>(), params};
  if (params.momentum != 0) {
    launch_updates<1>("sgd_update", tensors, sgd);
  } else {
    launch_updates<0>("sgd_update", tensors, sgd);
  }
}

void rmsprop_update(std::span<const UpdateTensors> tensors, const TensorView& lr,
                    const RmsPropParams& params) {
  const RmsProp rmsprop{lr.as<const float>(), params};
  if (params.momentum != 0) {
    launch_updates<2>("rmsprop_update", tensors, rmsprop);
  } else {
    launch_updates<1>("rmsprop_update", tensors, rmsprop);
  }
}

void adam_update(std::span<const UpdateTensors> tensors, const TensorView& lr, const TensorView& step,
                 const AdamParams& params) {
  launch("adam_update", count_kernel, 1, 1, 0, this_stream(), step.as<std::int64_t>(),
         static_cast<const LabelFault*>(label_fault_notes(this_device()).device));
  launch_updates<2>("adam_update", tensors,
                    Adam{lr.as<const float>(), step.as<const std::int64_t>(), params});
}

}  // namespace dlcuda::kernels::cuda

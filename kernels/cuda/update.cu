// Optimiser updates of many tensors at once. f32, dense; arithmetic as in functors/update.h.
//
//   SGD   parameter and state1 (momentum buffer) are updated in place from gradient and lr
//   Adam  parameter, state1 and state2 (moments) are updated in place from gradient, lr and step
//
// lr (f32) and step (i64) are read from device memory, so that a recorded graph follows a schedule. The
// addresses of up to kTensors tensors travel in the kernel's parameters together with a table that gives
// every block a tensor and a chunk of it; longer lists take several launches.
#include "dlcuda/kernels/update.h"

#include <type_traits>

#include "dlcuda/kernels/cuda/dtype.cuh"
#include "dlcuda/kernels/cuda/map.cuh"
#include "dlcuda/kernels/functors/update.h"

namespace dlcuda::kernels::cuda {
namespace {

constexpr int kTensors = 48, kBlocks = 320;
constexpr std::int64_t kChunk = 32768;  // elements of one block, a multiple of the pack
constexpr int kPack = 4;
using Pack4 = Pack<float, kPack>;

struct Batch {
  float* parameter[kTensors];
  const float* gradient[kTensors];
  float* state1[kTensors];
  float* state2[kTensors];
  std::int64_t count[kTensors];
  std::int32_t chunk_of_block[kBlocks];
  std::uint8_t tensor_of_block[kBlocks];
  std::uint8_t vector[kTensors];  // all four pointers are aligned for packs
};

struct Sgd {
  const float* lr;
  float momentum, weight_decay;
  bool nesterov;

  __device__ functors::SgdUpdate<float> prepare() const { return {*lr, momentum, weight_decay, nesterov}; }
};

struct Adam {
  const float* lr;
  const std::int64_t* step;
  double beta1, beta2;
  float epsilon, weight_decay;

  __device__ functors::AdamUpdate<float> prepare() const {
    const auto t = static_cast<double>(*step);
    return {*lr,
            static_cast<float>(beta1),
            static_cast<float>(beta2),
            epsilon,
            weight_decay,
            static_cast<float>(1.0 - ::pow(beta1, t)),
            static_cast<float>(1.0 - ::pow(beta2, t))};
  }
};

static_assert(sizeof(Batch) + sizeof(Adam) <= 4096, "kernel parameters are limited to 4 KB");

template <int kStates, typename Update>
__device__ __forceinline__ void update_one(const Update& update, float& parameter, float gradient,
                                           float& state1, float& state2) {
  if constexpr (kStates == 2) {
    update(parameter, gradient, state1, state2);
  } else {
    update(parameter, gradient, state1);
  }
}

// kStates: how many state tensors are read and written.
template <int kStates, typename Optimizer>
__global__ void update_kernel(Batch batch, Optimizer optimizer) {
  // One thread prepares what is the same for all elements: powers in f64 are dear.
  using Update = decltype(optimizer.prepare());
  __shared__ Update shared;
  if (threadIdx.x == 0) shared = optimizer.prepare();
  __syncthreads();
  const Update update = shared;

  const int tensor = batch.tensor_of_block[blockIdx.x];
  const std::int64_t begin = batch.chunk_of_block[blockIdx.x] * kChunk;
  const std::int64_t left = batch.count[tensor] - begin;
  const int count = static_cast<int>(left < kChunk ? left : kChunk);
  float* parameter = batch.parameter[tensor] + begin;
  const float* gradient = batch.gradient[tensor] + begin;
  float* state1 = kStates > 0 ? batch.state1[tensor] + begin : nullptr;
  float* state2 = kStates > 1 ? batch.state2[tensor] + begin : nullptr;

  const int packs = batch.vector[tensor] ? count / kPack : 0;
  for (int i = threadIdx.x; i < packs; i += kBlock) {
    Pack4 p = load_pack<float, kPack>(parameter, i), s1{}, s2{};
    const Pack4 g = load_pack<float, kPack>(gradient, i);
    if constexpr (kStates > 0) s1 = load_pack<float, kPack>(state1, i);
    if constexpr (kStates > 1) s2 = load_pack<float, kPack>(state2, i);
#pragma unroll
    for (int j = 0; j < kPack; ++j) {
      update_one<kStates>(update, p.value[j], g.value[j], s1.value[j], s2.value[j]);
    }
    store_pack<float, kPack>(parameter, i, p);
    if constexpr (kStates > 0) store_pack<float, kPack>(state1, i, s1);
    if constexpr (kStates > 1) store_pack<float, kPack>(state2, i, s2);
  }
  for (int i = packs * kPack + threadIdx.x; i < count; i += kBlock) {
    float p = parameter[i], s1 = 0.0f, s2 = 0.0f;
    if constexpr (kStates > 0) s1 = state1[i];
    if constexpr (kStates > 1) s2 = state2[i];
    update_one<kStates>(update, p, gradient[i], s1, s2);
    parameter[i] = p;
    if constexpr (kStates > 0) state1[i] = s1;
    if constexpr (kStates > 1) state2[i] = s2;
  }
}

template <int kStates, typename Optimizer>
void launch_updates(const char* name, std::span<const UpdateTensors> tensors, const Optimizer& optimizer) {
  Batch batch{};
  int used = 0, blocks = 0;
  const auto flush = [&] {
    launch(name, update_kernel<kStates, Optimizer>, blocks, kBlock, 0, this_stream(), batch, optimizer);
    used = blocks = 0;
  };
  for (const UpdateTensors& t : tensors) {
    for (const DType dtype : {t.parameter.dtype, t.gradient.dtype}) {
      if (dtype != DType::F32) refuse_dtype(name, "f32 parameters and gradients", dtype);
    }
    const std::int64_t count = t.parameter.numel();
    const auto enter = [&] {
      batch.parameter[used] = t.parameter.as<float>();
      batch.gradient[used] = t.gradient.as<const float>();
      batch.state1[used] = t.state1.as<float>();
      batch.state2[used] = t.state2.as<float>();
      batch.count[used] = count;
      batch.vector[used] = is_aligned(t.parameter.data, 16) && is_aligned(t.gradient.data, 16) &&
                           (kStates < 1 || is_aligned(t.state1.data, 16)) &&
                           (kStates < 2 || is_aligned(t.state2.data, 16));
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
  const Sgd sgd{lr.as<const float>(), static_cast<float>(params.momentum),
                static_cast<float>(params.weight_decay), params.nesterov};
  if (params.momentum != 0) {
    launch_updates<1>("sgd_update", tensors, sgd);
  } else {
    launch_updates<0>("sgd_update", tensors, sgd);
  }
}

void adam_update(std::span<const UpdateTensors> tensors, const TensorView& lr, const TensorView& step,
                 const AdamParams& params) {
  launch_updates<2>("adam_update", tensors,
                    Adam{lr.as<const float>(), step.as<const std::int64_t>(), params.beta1, params.beta2,
                         static_cast<float>(params.epsilon), static_cast<float>(params.weight_decay)});
}

}  // namespace dlcuda::kernels::cuda

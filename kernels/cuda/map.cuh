// Element-wise maps over dense memory: out[i] = f(in[i]...), with 16-byte accesses where alignment allows.
#pragma once

#include "dlcuda/kernels/cuda/launch.cuh"

namespace dlcuda::kernels::cuda {
namespace {

/// N elements that are read or written by one instruction.
template <typename T, int N>
struct alignas(N * sizeof(T)) Pack {
  T value[N];
};

/// Whether `pointer` may be accessed as packs of `bytes` bytes.
inline bool is_aligned(const void* pointer, std::size_t bytes) {
  return reinterpret_cast<std::uintptr_t>(pointer) % bytes == 0;
}

template <typename T, int N>
__device__ __forceinline__ Pack<T, N> load_pack(const T* from, std::int64_t pack) {
  return reinterpret_cast<const Pack<T, N>*>(from)[pack];
}
template <typename T, int N>
__device__ __forceinline__ void store_pack(T* to, std::int64_t pack, const Pack<T, N>& values) {
  reinterpret_cast<Pack<T, N>*>(to)[pack] = values;
}

template <int N, typename F, typename Out, typename... In>
__device__ __forceinline__ Pack<Out, N> map_pack(const F& f, const Pack<In, N>&... in) {
  Pack<Out, N> out;
#pragma unroll
  for (int j = 0; j < N; ++j) out.value[j] = static_cast<Out>(f(static_cast<compute_t<In>>(in.value[j])...));
  return out;
}

// packs: how many leading packs of N may be accessed as such; the rest goes one by one. out may be one of in.
template <int N, typename F, typename Out, typename... In>
__global__ void map_kernel(F f, std::int64_t count, std::int64_t packs, Out* out, const In*... in) {
  for (std::int64_t i = global_thread(); i < packs; i += global_threads()) {
    store_pack<Out, N>(out, i, map_pack<N, F, Out, In...>(f, load_pack<In, N>(in, i)...));
  }
  for (std::int64_t i = packs * N + global_thread(); i < count; i += global_threads()) {
    out[i] = static_cast<Out>(f(static_cast<compute_t<In>>(in[i])...));
  }
}

/// out[i] = f(in[i]...) for i < count. f gets compute types (f32 for the 16-bit formats); its result is
/// converted to Out.
template <typename F, typename Out, typename... In>
void map(const char* name, const F& f, std::int64_t count, Out* out, const In*... in) {
  constexpr int kPack = 16 / std::max({sizeof(Out), sizeof(In)...});
  const bool vector =
      is_aligned(out, kPack * sizeof(Out)) && (true && ... && is_aligned(in, kPack * sizeof(In)));
  const std::int64_t packs = vector ? count / kPack : 0;
  void (*const kernel)(F, std::int64_t, std::int64_t, Out*, const In*...) = map_kernel<kPack, F, Out, In...>;
  launch(name, kernel, grid_for(vector ? packs + count % kPack : count, kBlock), kBlock, 0, this_stream(), f,
         count, packs, out, in...);
}

}  // namespace
}  // namespace dlcuda::kernels::cuda

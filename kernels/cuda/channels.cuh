// Sums over the elements of each channel of (outer, C, inner), two at a time and in a fixed order, and maps
// whose elements share something with their channel.
#pragma once

#include "dlcuda/kernels/cuda/dtype.cuh"
#include "dlcuda/kernels/cuda/reduction.cuh"

namespace dlcuda::kernels::cuda {
namespace {

/// Sizes of a tensor by channel.
struct ByChannel {
  std::int64_t outer, channels, inner;
  explicit ByChannel(const TensorView& x) : outer(x.shape[0]), channels(x.shape[1]), inner(x.shape[2]) {}
  std::int64_t count() const { return outer * channels * inner; }
};

// One thread adds up kColumnChunk elements of a channel; neighbours take neighbouring channels. sums:
// (chunks, 2, C).
template <typename Term>
__global__ void column_sums_kernel(Term term, std::int64_t outer, std::int64_t channels, std::int64_t chunks,
                                   float* sums) {
  for (std::int64_t item = global_thread(); item < chunks * channels; item += global_threads()) {
    const std::int64_t channel = item % channels, chunk = item / channels, begin = chunk * kColumnChunk;
    const std::int64_t end = outer - begin > kColumnChunk ? begin + kColumnChunk : outer;
    const auto shared = term.channel(channel);
    float a = 0.0f, b = 0.0f;
#pragma unroll 4
    for (std::int64_t o = begin; o < end; ++o) term.add(o * channels + channel, shared, a, b);
    sums[chunk * 2 * channels + channel] = a;
    sums[(chunk * 2 + 1) * channels + channel] = b;
  }
}

// One warp adds up kRowChunk elements of a plane. sums: (outer * chunks, 2, C).
template <typename Term>
__global__ void plane_sums_kernel(Term term, std::int64_t outer, std::int64_t channels, std::int64_t inner,
                                  std::int64_t chunks, float* sums) {
  const int lane = threadIdx.x % kWarp;
  for (std::int64_t item = global_thread() / kWarp; item < outer * channels * chunks;
       item += global_threads() / kWarp) {
    const std::int64_t chunk = item % chunks, plane = item / chunks, channel = plane % channels;
    const std::int64_t begin = chunk * kRowChunk, end = inner - begin > kRowChunk ? begin + kRowChunk : inner;
    const auto shared = term.channel(channel);
    float a = 0.0f, b = 0.0f;
#pragma unroll 4
    for (std::int64_t i = begin + lane; i < end; i += kWarp) term.add(plane * inner + i, shared, a, b);
    a = warp_reduce(a, Sum{});
    b = warp_reduce(b, Sum{});
    if (lane == 0) {
      const std::int64_t row = plane / channels * chunks + chunk;
      sums[row * 2 * channels + channel] = a;
      sums[(row * 2 + 1) * channels + channel] = b;
    }
  }
}

/// (2, C): the sums of what term.add(index, term.channel(c), a, b) adds to a and b for every element.
template <typename Term>
Tensor channel_sums(const char* name, const Term& term, const ByChannel& x) {
  const bool columns = x.inner == 1;
  const std::int64_t length = columns ? x.outer : x.inner, chunk = columns ? kColumnChunk : kRowChunk;
  const std::int64_t chunks = length / chunk + (length % chunk != 0),
                     rows = columns ? chunks : x.outer * chunks;
  const Tensor partial = Tensor::empty({rows, 2, x.channels}, DType::F32, this_device());
  if (columns) {
    launch(name, column_sums_kernel<Term>, grid_for(chunks * x.channels, kBlock), kBlock, 0, this_stream(),
           term, x.outer, x.channels, chunks, partial.data<float>());
  } else {
    launch(name, plane_sums_kernel<Term>, grid_for(rows * x.channels, kBlock / kWarp), kBlock, 0,
           this_stream(), term, x.outer, x.channels, x.inner, chunks, partial.data<float>());
  }
  const Tensor sums = Tensor::empty({2, x.channels}, DType::F32, this_device());
  reduce_middle<Sum>(name, static_cast<const float*>(partial.data<float>()), 1, rows, 2 * x.channels,
                     sums.data<float>());
  return sums;
}

// kColumns: inner is 1 and a pack of N holds N channels; else it lies in one plane. packs: how many leading
// packs may be accessed as such.
template <int N, bool kColumns, typename Element, typename Index>
__global__ void channel_map_kernel(Element element, Index count, Index packs, Index channels, Index inner) {
  const auto threads = static_cast<Index>(global_threads());
  for (auto i = static_cast<Index>(global_thread()); i < packs; i += threads) {
    const Index first = i * N;
    const Index channel = kColumns ? first % channels : first / inner % channels;
    element.template run<N, kColumns>(static_cast<std::int64_t>(first), static_cast<std::int64_t>(channel));
  }
  for (Index i = packs * N + static_cast<Index>(global_thread()); i < count; i += threads) {
    element.template run<1, false>(static_cast<std::int64_t>(i),
                                   static_cast<std::int64_t>(i / inner % channels));
  }
}

/// Calls element.run<N, kColumns>(first, channel) for all elements, N from index `first` on: with kColumns
/// they belong to `channel` and those after it, else all to `channel`. `aligned`: whether all tensors may be
/// read in packs of kPack elements.
template <int kPack, typename Element>
void map_channels(const char* name, const Element& element, const ByChannel& x, bool aligned) {
  const std::int64_t count = x.count();
  const bool columns = x.inner == 1;
  const bool vector = aligned && (columns ? x.channels : x.inner) % kPack == 0;
  const std::int64_t packs = vector ? count / kPack : 0;
  visit_index(count, [&]<typename Index>() {
    const auto kernel = columns ? channel_map_kernel<kPack, true, Element, Index>
                                : channel_map_kernel<kPack, false, Element, Index>;
    launch(name, kernel, grid_for(vector ? packs : count, kBlock), kBlock, 0, this_stream(), element, count,
           packs, x.channels, x.inner);
  });
}

}  // namespace
}  // namespace dlcuda::kernels::cuda

// Sums over the elements of each channel of (outer, C, inner), two at a time and in a fixed order, and maps
// whose elements share something with their channel.
#pragma once

#include <utility>

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

/// Whether all of these, where they are not null, may be read in packs of 16 bytes.
template <typename... Views>
bool all_aligned(const Views&... views) {
  return (true && ... && is_aligned(views.data, 16));
}

/// Two sums of a channel.
struct ChannelSums {
  float first = 0.0f, second = 0.0f;
  __device__ void add(float a, float b) {
    first += a;
    second += b;
  }
};

struct MergeSums {
  using State = ChannelSums;
  __device__ static void merge(State& into, const State& other) { into.add(other.first, other.second); }
};

/// What reduce_columns() reduces in channels-last: rows are pixels, columns channels. A Term says what the
/// elements are read from and what they add:
///
///   Values<N>                          what is read for N elements in neighbouring channels
///   kPack                              elements that may be read at once, where `aligned` says so
///   kAtOnce                            Values that a thread has on their way from memory at once
///   channel(c)                         what the elements of a channel share
///   read<N>(i)                         the Values<N> of the elements from i on
///   add<N>(values, i, shared, sums)    shared[N], sums[N]; each element is added once, so that what comes of
///                                      it can be stored on the way
template <typename Term>
struct ChannelColumns {
  using Merging = MergeSums;
  static constexpr int kPack = Term::kPack, kAtOnce = Term::kAtOnce;
  Term term;
  std::int64_t channels;

  template <int N>
  struct Shared {
    decltype(std::declval<const Term&>().channel(0)) of[N];
  };
  template <int N>
  __device__ Shared<N> prepare(std::int64_t column) const {
    Shared<N> shared;
#pragma unroll
    for (int c = 0; c < N; ++c) shared.of[c] = term.channel(column + c);
    return shared;
  }
  template <int N>
  __device__ void add(const Shared<N>& shared, std::int64_t, std::int64_t row, int step, int count,
                      std::int64_t column, ChannelSums (&states)[N]) const {
    typename Term::template Values<N> values[kAtOnce]{};
#pragma unroll
    for (int j = 0; j < kAtOnce; ++j) {
      if (j < count) values[j] = term.template read<N>((row + std::int64_t{j} * step) * channels + column);
    }
#pragma unroll
    for (int j = 0; j < kAtOnce; ++j) {
      if (j >= count) break;
      term.template add<N>(values[j], (row + std::int64_t{j} * step) * channels + column, shared.of, states);
    }
  }
};

// One warp adds up kRowChunk elements of a plane. sums: (outer * chunks, C).
template <typename Term>
__global__ void plane_sums_kernel(Term term, std::int64_t outer, std::int64_t channels, std::int64_t inner,
                                  std::int64_t chunks, ChannelSums* sums) {
  const int lane = threadIdx.x % kWarp;
  for (std::int64_t item = global_thread() / kWarp; item < outer * channels * chunks;
       item += global_threads() / kWarp) {
    const std::int64_t chunk = item % chunks, plane = item / chunks, channel = plane % channels;
    const std::int64_t begin = chunk * kRowChunk, end = inner - begin > kRowChunk ? begin + kRowChunk : inner;
    const decltype(term.channel(channel)) shared[1] = {term.channel(channel)};
    ChannelSums all[1];
#pragma unroll 4
    for (std::int64_t i = begin + lane; i < end; i += kWarp) {
      const std::int64_t at = plane * inner + i;
      term.template add<1>(term.template read<1>(at), at, shared, all);
    }
    const ChannelSums total{warp_reduce(all[0].first, Sum{}), warp_reduce(all[0].second, Sum{})};
    if (lane == 0) sums[(plane / channels * chunks + chunk) * channels + channel] = total;
  }
}

/// Chunks of a plane, each a warp's.
inline std::int64_t plane_chunks(const ByChannel& x) {
  return x.inner / kRowChunk + (x.inner % kRowChunk != 0);
}

/// finish(0, c, sums) with the two sums of each channel. aligned: whether all that the term reads may be read
/// in packs.
template <typename Term, typename Finish>
void channel_sums(const char* name, const Term& term, const ByChannel& x, bool aligned,
                  const Finish& finish) {
  if (x.inner == 1) {
    return reduce_columns(name, ChannelColumns<Term>{term, x.channels}, 1, x.outer, x.channels, aligned,
                          finish);
  }
  const std::int64_t chunks = plane_chunks(x), rows = x.outer * chunks;
  const Tensor room = room_for<ChannelSums>(rows, x.channels);
  auto* const sums = states_in<ChannelSums>(room);
  launch(name, plane_sums_kernel<Term>, grid_for(rows * x.channels, kBlock / kWarp), kBlock, 0, this_stream(),
         term, x.outer, x.channels, x.inner, chunks, sums);
  reduce_columns(name, States<MergeSums>{sums, rows, x.channels}, 1, rows, x.channels, false, finish);
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

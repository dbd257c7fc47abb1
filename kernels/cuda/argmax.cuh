// The place of the first largest element of a row: NaN is larger than any number, and the first of equals
// counts.
#pragma once

#include "dlcuda/kernels/cuda/reduction.cuh"

namespace dlcuda::kernels::cuda {
namespace {

struct Candidate {
  float value;
  std::int64_t index;

  __device__ bool beats(const Candidate& other) const {
    const bool nan = value != value, other_nan = other.value != other.value;
    if (nan != other_nan) return nan;
    if (!nan && value != other.value) return value > other.value;
    return index < other.index;
  }
};

/// Of sign * x[0], sign * x[inner], ...: n of them. kLanes threads of a warp, this being number `lane`, share
/// the row; all get the result.
template <int kLanes, typename T>
__device__ __forceinline__ std::int64_t first_largest(const T* x, std::int64_t n, std::int64_t inner,
                                                      float sign, int lane) {
  Candidate best{-HUGE_VALF, n};
  for (std::int64_t j = lane; j < n; j += kLanes) {
    const Candidate candidate{sign * static_cast<float>(x[j * inner]), j};
    if (candidate.beats(best)) best = candidate;
  }
#pragma unroll
  for (int distance = kLanes / 2; distance > 0; distance /= 2) {
    const Candidate other{__shfl_xor_sync(0xffffffffu, best.value, distance),
                          __shfl_xor_sync(0xffffffffu, best.index, distance)};
    if (other.beats(best)) best = other;
  }
  return best.index;
}

}  // namespace
}  // namespace dlcuda::kernels::cuda

// Dropout: y[i] = keep[i] ? x[i] * scale : 0 with scale = 1 / (1 - p), computed once in f64 and rounded to
// f32.
//
// keep[i] compares word i % 4 of Philox(key; i / 4, ordinal, step) with round(p * 2^32), i being the
// element's place in memory: one thread draws once for four elements. The step number is read from device
// memory, so that a recorded graph draws new masks. Nothing is saved: the backward pass is the same call on
// dy. Dense tensors; f32, f16, bf16 with f32 arithmetic. y is overwritten and may be x.
#include "dlcuda/kernels/dropout.h"

#include "dlcuda/kernels/cuda/dtype.cuh"
#include "dlcuda/kernels/cuda/map.cuh"
#include "dlcuda/kernels/functors/dropout.h"

namespace dlcuda::kernels::cuda {
namespace {

constexpr int kWords = 4;  // of one Philox call

template <typename T>
__global__ void dropout_kernel(const T* x, std::int64_t count, bool vector, functors::DropoutMask mask,
                               const std::int64_t* step, float scale, T* y) {
  mask.step = static_cast<std::uint32_t>(*step);
  for (std::int64_t group = global_thread(); group * kWords < count; group += global_threads()) {
    const Philox4 words = mask.words(static_cast<std::uint64_t>(group));
    if (vector && (group + 1) * kWords <= count) {
      Pack<T, kWords> values = load_pack<T, kWords>(x, group);
#pragma unroll
      for (int j = 0; j < kWords; ++j) {
        values.value[j] = T(mask.keep(words.value[j]) ? static_cast<float>(values.value[j]) * scale : 0.0f);
      }
      store_pack<T, kWords>(y, group, values);
    } else {
#pragma unroll
      for (int j = 0; j < kWords; ++j) {
        const std::int64_t i = group * kWords + j;
        if (i < count) y[i] = T(mask.keep(words.value[j]) ? static_cast<float>(x[i]) * scale : 0.0f);
      }
    }
  }
}

template <typename T>
__global__ void channel_dropout_kernel(const T* x, std::int64_t count, std::int64_t pixels,
                                       std::int64_t channels, std::int64_t inner, functors::DropoutMask mask,
                                       const std::int64_t* step, float scale, T* y) {
  mask.step = static_cast<std::uint32_t>(*step);
  for (std::int64_t i = global_thread(); i < count; i += global_threads()) {
    const std::int64_t channel = i / inner % channels, sample = i / inner / channels / pixels;
    const bool keep = mask.keeps(static_cast<std::uint64_t>(sample * channels + channel));
    y[i] = T(keep ? static_cast<float>(x[i]) * scale : 0.0f);
  }
}

}  // namespace

void dropout(const TensorView& x, const TensorView& y, const DropoutParams& params) {
  const functors::DropoutMask mask{params.call.key, params.call.ordinal, 0,
                                   functors::dropout_threshold(params.p)};
  const auto scale = static_cast<float>(functors::dropout_scale(params.p));
  const std::int64_t count = x.numel();
  visit_float("dropout", x.dtype, [&]<typename T>() {
    const bool vector = is_aligned(x.data, kWords * sizeof(T)) && is_aligned(y.data, kWords * sizeof(T));
    launch("dropout", dropout_kernel<T>, grid_for(count, kBlock * kWords), kBlock, 0, this_stream(),
           x.as<const T>(), count, vector, mask,
           static_cast<const std::int64_t*>(params.call.step.data<std::int64_t>()), scale, y.as<T>());
  });
}

void channel_dropout(const TensorView& x, const TensorView& y, std::int64_t samples,
                     const DropoutParams& params) {
  const functors::DropoutMask mask{params.call.key, params.call.ordinal, 0,
                                   functors::dropout_threshold(params.p)};
  const std::int64_t count = x.numel();
  if (count == 0) return;
  visit_float("channel_dropout", x.dtype, [&]<typename T>() {
    launch("channel_dropout", channel_dropout_kernel<T>, grid_for(count, kBlock), kBlock, 0, this_stream(),
           x.as<const T>(), count, x.shape[0] / samples, x.shape[1], x.shape[2], mask,
           static_cast<const std::int64_t*>(params.call.step.data<std::int64_t>()),
           static_cast<float>(functors::dropout_scale(params.p)), y.as<T>());
  });
}

}  // namespace dlcuda::kernels::cuda

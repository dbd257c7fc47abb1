// Batch normalisation of (outer, C, inner): contiguous (N, C, H W) or channels-last (N H W, C, 1). Data f32,
// f16, bf16; parameters, statistics and arithmetic f32.
//
//   statistics  mean[c] = mean of x over the channel; inverse_std[c] = 1 / sqrt(biased variance + epsilon)
//               running += momentum * (batch - running), the variance unbiased; batches += 1
//               from the sums of x and x^2 instead, if a convolution has them (kernels/conv2d_norm.h)
//   apply       y = f((x - mean) * inverse_std * weight + bias + residual)
//   parameters  g = dy * f'(y);  dbias = sum g;  dweight = sum g * (x - mean) * inverse_std
//   data        dx = inverse_std * weight * (g - dbias / n - (x - mean) * inverse_std * dweight / n)
//               dresidual = g;  in inference the two means are left out
//
// Saved: x, mean, inverse_std, and y where there is an activation. Outputs are overwritten. Sums run in two
// passes and a fixed order (channels.cuh); statistics are merged from parts (functors/moments.h), so that
// neither a large mean nor an outlier costs digits.
#include "dlcuda/kernels/batch_norm.h"

#include "dlcuda/kernels/arithmetic.h"
#include "dlcuda/kernels/cuda/channel_moments.cuh"
#include "dlcuda/kernels/cuda/channels.cuh"
#include "dlcuda/kernels/functors/batch_norm.h"

namespace dlcuda::kernels::cuda {
namespace {

template <typename T, typename F>
struct GradientTerm {
  F f;
  const T *dy, *x, *y;
  const float* mean;

  struct Value {
    float g, x;
  };
  static constexpr int kPack = 16 / sizeof(T);
  __device__ float channel(std::int64_t c) const { return mean[c]; }
  template <int N>
  __device__ void read(std::int64_t i, Value (&values)[N]) const {
    const Pack<T, N> grad = load_pack<T, N>(dy + i, 0), in = load_pack<T, N>(x + i, 0),
                     kept = load_pack<T, N>(y + i, 0);
#pragma unroll
    for (int j = 0; j < N; ++j) {
      values[j] = {f.backward(static_cast<float>(grad.value[j]), static_cast<float>(kept.value[j])),
                   static_cast<float>(in.value[j])};
    }
  }
  __device__ void add(const Value& value, std::int64_t, float channel_mean, ChannelSums& sums) const {
    sums.add(value.g, value.g * (value.x - channel_mean));
  }
};

template <typename T>
struct FinishStatistics {
  const T* x;
  std::int64_t outer, channels, inner;
  float epsilon, momentum;
  float *mean, *inverse_std, *running_mean, *running_var;
  std::int64_t* batches;

  __device__ void operator()(std::int64_t, std::int64_t c, const functors::Moments<float>& all) const {
    const float average = functors::guess_mean<float>(x, outer, channels, inner, c) + all.mean;
    mean[c] = average;
    inverse_std[c] = all.inverse_std(epsilon);
    if (running_mean != nullptr) {
      functors::move_towards(running_mean[c], average, momentum);
      functors::move_towards(running_var[c], all.unbiased_variance(), momentum);
    }
    if (batches != nullptr && c == 0) ++*batches;
  }
};

__global__ void running_kernel(const float* running_mean, const float* running_var, std::int64_t channels,
                               float epsilon, float* mean, float* inverse_std) {
  for (std::int64_t c = global_thread(); c < channels; c += global_threads()) {
    mean[c] = running_mean != nullptr ? running_mean[c] : 0.0f;
    inverse_std[c] = 1.0f / functors::sqrt((running_var != nullptr ? running_var[c] : 1.0f) + epsilon);
  }
}

template <typename T>
__global__ void from_totals_kernel(functors::NormFromTotals<T, float> channel, std::int64_t channels) {
  for (std::int64_t c = global_thread(); c < channels; c += global_threads()) channel(c);
}

struct FinishParameters {
  const float* inverse_std;
  float *dweight, *dbias;
  __device__ void operator()(std::int64_t, std::int64_t c, const ChannelSums& sums) const {
    dbias[c] = sums.first;
    dweight[c] = sums.second * inverse_std[c];
  }
};

/// N values of neighbouring channels, 16 bytes at a time; `fallback` where there are none.
template <int N, typename T>
__device__ __forceinline__ void load_channels(const T* from, std::int64_t channel, float fallback,
                                              float (&to)[N]) {
  constexpr int kPack = std::min(N, static_cast<int>(16 / sizeof(T)));
#pragma unroll
  for (int i = 0; i < N / kPack; ++i) {
    Pack<T, kPack> pack{};
    if (from != nullptr) pack = load_pack<T, kPack>(from + channel, i);
#pragma unroll
    for (int j = 0; j < kPack; ++j) {
      to[i * kPack + j] = from != nullptr ? static_cast<float>(pack.value[j]) : fallback;
    }
  }
}

template <typename T, typename F, bool kResidual>
struct Apply {
  F f;
  const T *x, *residual;
  const float *mean, *inverse_std, *weight;
  const void* bias;
  bool bias_like_x;  // of type T, else float
  T* y;

  template <int N, bool kColumns>
  __device__ void run(std::int64_t first, std::int64_t channel) const {
    constexpr int kChannels = kColumns ? N : 1;
    float means[kChannels], stds[kChannels], weights[kChannels], biases[kChannels];
    load_channels(mean, channel, 0.0f, means);
    load_channels(inverse_std, channel, 1.0f, stds);
    load_channels(weight, channel, 1.0f, weights);
    if (bias_like_x) {
      load_channels(static_cast<const T*>(bias), channel, 0.0f, biases);
    } else {
      load_channels(static_cast<const float*>(bias), channel, 0.0f, biases);
    }
    const Pack<T, N> in = load_pack<T, N>(x + first, 0);
    Pack<T, N> beside, out;
    if constexpr (kResidual) beside = load_pack<T, N>(residual + first, 0);
#pragma unroll
    for (int j = 0; j < N; ++j) {
      const int c = kColumns ? j : 0;
      const functors::ChannelScale<float> shared(means[c], stds[c], weights[c], biases[c]);
      float value = shared(static_cast<float>(in.value[j]));
      if constexpr (kResidual) value += static_cast<float>(beside.value[j]);
      out.value[j] = T(f.forward(value));
    }
    store_pack<T, N>(y + first, 0, out);
  }
};

template <typename T, typename F, bool kResidual>
struct BackwardData {
  F f;
  const T *dy, *x, *y;
  const float *mean, *inverse_std, *weight, *dweight, *dbias;
  float count;
  bool training;
  T *dx, *dresidual;

  template <int N, bool kColumns>
  __device__ void run(std::int64_t first, std::int64_t channel) const {
    constexpr int kChannels = kColumns ? N : 1;
    float means[kChannels], stds[kChannels], weights[kChannels], dweights[kChannels], dbiases[kChannels];
    load_channels(mean, channel, 0.0f, means);
    load_channels(inverse_std, channel, 1.0f, stds);
    load_channels(weight, channel, 1.0f, weights);
    load_channels(dweight, channel, 0.0f, dweights);
    load_channels(dbias, channel, 0.0f, dbiases);
    const Pack<T, N> grad = load_pack<T, N>(dy + first, 0), in = load_pack<T, N>(x + first, 0);
    const Pack<T, N> kept = load_pack<T, N>(y + first, 0);
    Pack<T, N> out, beside;
#pragma unroll
    for (int j = 0; j < N; ++j) {
      const int c = kColumns ? j : 0;
      const functors::ChannelGradient<float> shared(means[c], stds[c], weights[c], dweights[c], dbiases[c],
                                                    count, training);
      const float g = f.backward(static_cast<float>(grad.value[j]), static_cast<float>(kept.value[j]));
      out.value[j] = T(shared(g, static_cast<float>(in.value[j])));
      if constexpr (kResidual) beside.value[j] = T(g);
    }
    store_pack<T, N>(dx + first, 0, out);
    if constexpr (kResidual) store_pack<T, N>(dresidual + first, 0, beside);
  }
};

/// visitor.operator()<T, F, kResidual>(f)
template <typename Visitor>
void visit(const char* name, DType dtype, const ActivationParams& activation, bool residual,
           const Visitor& visitor) {
  visit_float(name, dtype, [&]<typename T>() {
    functors::visit_output_activation<float>(activation, [&](auto f) {
      if (residual) {
        visitor.template operator()<T, decltype(f), true>(f);
      } else {
        visitor.template operator()<T, decltype(f), false>(f);
      }
    });
  });
}

/// 16 bytes hold this many.
template <typename T>
constexpr int kPackOf = 16 / sizeof(T);

/// Whether all of these, where they are not null, may be read in packs of 16 bytes.
template <typename... Views>
bool all_aligned(const Views&... views) {
  return (true && ... && is_aligned(views.data, 16));
}

}  // namespace

void batch_norm_statistics(const TensorView& x, const TensorView& mean, const TensorView& inverse_std,
                           const TensorView& running_mean, const TensorView& running_var,
                           const TensorView& batches, const BatchNormParams& params) {
  const char* name = "batch_norm_statistics";
  if (x.numel() == 0) {  // nothing to normalise, and nothing is learnt from it
    if (batches.data != nullptr) advance_counter(batches, 1);
    return batch_norm_running(running_mean, running_var, mean, inverse_std, params.epsilon);
  }
  const ByChannel sizes(x);
  visit_float(name, x.dtype, [&]<typename T>() {
    channel_moments(
        name, x.as<const T>(), sizes,
        FinishStatistics<T>{x.as<const T>(), sizes.outer, sizes.channels, sizes.inner,
                            static_cast<float>(params.epsilon), static_cast<float>(params.momentum),
                            mean.as<float>(), inverse_std.as<float>(), running_mean.as<float>(),
                            running_var.as<float>(), batches.as<std::int64_t>()});
  });
}

void batch_norm_from_totals(const TotalsViews& views, const BatchNormParams& params) {
  const char* name = "batch_norm_from_totals";
  const std::int64_t channels = views.sum.shape[0];
  visit_float(name, views.scale.data ? views.scale.dtype : views.sum.dtype, [&]<typename T>() {
    launch(name, from_totals_kernel<T>, grid_for(channels, kBlock), kBlock, 0, this_stream(),
           functors::NormFromTotals<T, float>(views, params), channels);
  });
}

void batch_norm_running(const TensorView& running_mean, const TensorView& running_var, const TensorView& mean,
                        const TensorView& inverse_std, double epsilon) {
  launch("batch_norm_running", running_kernel, grid_for(mean.shape[0], kBlock), kBlock, 0, this_stream(),
         running_mean.as<const float>(), running_var.as<const float>(), mean.shape[0],
         static_cast<float>(epsilon), mean.as<float>(), inverse_std.as<float>());
}

void batch_norm_apply(const TensorView& x, const TensorView& mean, const TensorView& inverse_std,
                      const TensorView& weight, const TensorView& bias, const TensorView& residual,
                      const TensorView& y, const ActivationParams& activation) {
  const char* name = "batch_norm_apply";
  visit(name, x.dtype, activation, residual.data != nullptr,
        [&]<typename T, typename F, bool kResidual>(F f) {
          map_channels<kPackOf<T>>(
              name,
              Apply<T, F, kResidual>{f, x.as<const T>(), residual.as<const T>(), mean.as<const float>(),
                                     inverse_std.as<const float>(), weight.as<const float>(), bias.data,
                                     bias.dtype == x.dtype, y.as<T>()},
              ByChannel(x), all_aligned(x, residual, y, mean, inverse_std, weight, bias));
        });
}

void batch_norm_backward_parameters(const TensorView& dy, const TensorView& x, const TensorView& y,
                                    const TensorView& mean, const TensorView& inverse_std,
                                    const TensorView& dweight, const TensorView& dbias,
                                    const ActivationParams& activation) {
  const char* name = "batch_norm_backward_parameters";
  const ByChannel sizes(x);
  visit(name, x.dtype, activation, false, [&]<typename T, typename F, bool>(F f) {
    // Without an activation there is no y to look at.
    channel_sums(name,
                 GradientTerm<T, F>{f, dy.as<const T>(), x.as<const T>(),
                                    y.data ? y.as<const T>() : dy.as<const T>(), mean.as<const float>()},
                 sizes, all_aligned(dy, x, y),
                 FinishParameters{inverse_std.as<const float>(), dweight.as<float>(), dbias.as<float>()});
  });
}

void batch_norm_backward_data(const TensorView& dy, const TensorView& x, const TensorView& y,
                              const TensorView& mean, const TensorView& inverse_std, const TensorView& weight,
                              const TensorView& dweight, const TensorView& dbias, const TensorView& dx,
                              const TensorView& dresidual, bool training,
                              const ActivationParams& activation) {
  const char* name = "batch_norm_backward_data";
  const ByChannel sizes(x);
  visit(name, x.dtype, activation, dresidual.data != nullptr,
        [&]<typename T, typename F, bool kResidual>(F f) {
          map_channels<kPackOf<T>>(
              name,
              BackwardData<T, F, kResidual>{
                  f, dy.as<const T>(), x.as<const T>(), y.data ? y.as<const T>() : dy.as<const T>(),
                  mean.as<const float>(), inverse_std.as<const float>(), weight.as<const float>(),
                  dweight.as<const float>(), dbias.as<const float>(),
                  static_cast<float>(sizes.outer * sizes.inner), training, dx.as<T>(), dresidual.as<T>()},
              sizes, all_aligned(dy, x, y, dx, dresidual, mean, inverse_std, weight, dweight, dbias));
        });
}

}  // namespace dlcuda::kernels::cuda

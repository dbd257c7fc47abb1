// Batch normalisation of (outer, C, inner): contiguous (N, C, H W) or channels-last (N H W, C, 1). Data f32,
// f16, bf16; parameters, statistics and arithmetic f32.
//
//   statistics  mean[c] = mean of x over the channel; inverse_std[c] = 1 / sqrt(biased variance + epsilon)
//               running += momentum * (batch - running), the variance unbiased; batches += 1
//               from the sums of x and x^2 instead, if a convolution has them (kernels/conv2d_norm.h)
//   apply       y = f((x - mean) * inverse_std * weight + bias + residual)
//   parameters  g = (dy + more) * f'(y);  dbias = sum g;  dweight = sum g * (x - mean) * inverse_std
//               g is written where it is wanted: as the residual's gradient, and where dy has two parts
//   data        dx = inverse_std * weight * (g - dbias / n - (x - mean) * inverse_std * dweight / n)
//               in inference the two means are left out
//
// The y of apply and the dy of parameters may be channel slices, parts of longer rows.
//
// Saved: x, mean, inverse_std, and y where a residual was added before an activation; else y is computed
// anew, because these passes wait for memory. Outputs are overwritten. Sums run in two passes and a fixed
// order (channels.cuh); statistics are merged from parts (functors/moments.h), so that neither a large mean
// nor an outlier costs digits.
#include "dlcuda/kernels/batch_norm.h"

#include <type_traits>

#include "dlcuda/kernels/arithmetic.h"
#include "dlcuda/kernels/cuda/channel_moments.cuh"
#include "dlcuda/kernels/cuda/channels.cuh"
#include "dlcuda/kernels/functors/batch_norm.h"

namespace dlcuda::kernels::cuda {
namespace {

/// The normalisation of a channel, and what of it the backward pass reads.
struct Channels {
  const float *mean, *inverse_std, *weight, *bias;

  __device__ functors::ChannelScale<float> scale(std::int64_t c) const {
    return {mean[c], inverse_std[c], weight != nullptr ? weight[c] : 1.0f, bias != nullptr ? bias[c] : 0.0f};
  }
};

/// What the activation gave for x, rounded as it was stored.
template <typename T, typename F>
__device__ __forceinline__ float activated(const F& f, const functors::ChannelScale<float>& scale, float x) {
  return static_cast<float>(T(f.forward(scale(x))));
}

/// Where the elements of (outer, C, inner) lie: in a channel slice, its rows of C * inner elements have gaps
/// between them. The elements of a slice have numbers of 32 bits (kernels/batch_norm.cpp), since wider ones
/// would take registers that the reductions do not have.
struct Rows {
  std::uint32_t length = 1;
  std::int32_t gap;
  explicit Rows(const TensorView& x) {
    const std::int64_t row = x.shape[1] * x.shape[2];
    gap = static_cast<std::int32_t>(x.strides[0] - row);
    if (gap != 0) length = static_cast<std::uint32_t>(row);
  }

  __device__ std::int64_t at(std::int64_t i) const {
    if (gap == 0) return i;
    return i + static_cast<std::int64_t>(static_cast<std::uint32_t>(i) / length) * gap;
  }
  /// Whether what begins a pack of 16 bytes in a dense tensor does so here.
  bool aligned(DType dtype) const { return gap * static_cast<std::int64_t>(size_of(dtype)) % 16 == 0; }
};

/// kFromX: the output is computed anew, instead of read. Where g is left, the sums are those of what was
/// left: of numbers rounded to T.
template <typename T, typename F, bool kFromX>
struct GradientTerm {
  F f;
  const T *dy, *more, *x, *y;
  Channels channels;
  T* g;
  Rows dy_rows;

  template <int N>
  struct Values {
    Pack<T, N> dy, more, x, y;
  };
  static constexpr int kPack = 16 / sizeof(T), kAtOnce = 2;
  using Shared = std::conditional_t<kFromX, functors::ChannelScale<float>, float>;
  __device__ Shared channel(std::int64_t c) const {
    if constexpr (kFromX) return channels.scale(c);
    if constexpr (!kFromX) return channels.mean[c];
  }
  template <int N>
  __device__ Values<N> read(std::int64_t i) const {
    Values<N> values{};
    values.dy = load_pack<T, N>(dy + dy_rows.at(i), 0);
    values.x = load_pack<T, N>(x + i, 0);
    if (more != nullptr) values.more = load_pack<T, N>(more + i, 0);
    if constexpr (!kFromX) values.y = load_pack<T, N>(y + i, 0);
    return values;
  }
  template <int N>
  __device__ void add(const Values<N>& values, std::int64_t i, const Shared (&shared)[N],
                      ChannelSums (&sums)[N]) const {
    Pack<T, N> left;
#pragma unroll
    for (int j = 0; j < N; ++j) {
      const float in = static_cast<float>(values.x.value[j]);
      const float sum = static_cast<float>(values.dy.value[j]) + static_cast<float>(values.more.value[j]);
      float out, mean;
      if constexpr (kFromX) {
        out = activated<T>(f, shared[j], in);
        mean = shared[j].mean;
      } else {
        out = static_cast<float>(values.y.value[j]);
        mean = shared[j];
      }
      float gradient = f.backward(sum, out);
      left.value[j] = T(gradient);
      if (g != nullptr) gradient = static_cast<float>(left.value[j]);
      sums[j].add(gradient, gradient * (in - mean));
    }
    if (g != nullptr) store_pack<T, N>(g + i, 0, left);
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
  Rows y_rows;

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
    store_pack<T, N>(y + y_rows.at(first), 0, out);
  }
};

/// kFromX: as above.
template <typename T, typename F, bool kFromX>
struct BackwardData {
  F f;
  const T *dy, *x, *y;
  Channels channels;
  const float *dweight, *dbias;
  float count;
  bool training;
  T* dx;

  template <int N, bool kColumns>
  __device__ void run(std::int64_t first, std::int64_t channel) const {
    constexpr int kChannels = kColumns ? N : 1;
    float means[kChannels], stds[kChannels], weights[kChannels], biases[kChannels], dweights[kChannels],
        dbiases[kChannels];
    load_channels(channels.mean, channel, 0.0f, means);
    load_channels(channels.inverse_std, channel, 1.0f, stds);
    load_channels(channels.weight, channel, 1.0f, weights);
    if constexpr (kFromX) load_channels(channels.bias, channel, 0.0f, biases);
    load_channels(dweight, channel, 0.0f, dweights);
    load_channels(dbias, channel, 0.0f, dbiases);
    const Pack<T, N> grad = load_pack<T, N>(dy + first, 0), in = load_pack<T, N>(x + first, 0);
    Pack<T, N> kept{}, out;
    if constexpr (!kFromX) kept = load_pack<T, N>(y + first, 0);
#pragma unroll
    for (int j = 0; j < N; ++j) {
      const int c = kColumns ? j : 0;
      const functors::ChannelGradient<float> shared(means[c], stds[c], weights[c], dweights[c], dbiases[c],
                                                    count, training);
      const float value = static_cast<float>(in.value[j]);
      float output = static_cast<float>(kept.value[j]);
      if constexpr (kFromX) output = activated<T>(f, {means[c], stds[c], weights[c], biases[c]}, value);
      out.value[j] = T(shared(f.backward(static_cast<float>(grad.value[j]), output), value));
    }
    store_pack<T, N>(dx + first, 0, out);
  }
};

/// visitor.operator()<T>(f)
template <typename Visitor>
void visit(const char* name, DType dtype, const ActivationParams& activation, const Visitor& visitor) {
  visit_float(name, dtype, [&]<typename T>() {
    functors::visit_fused_activation<float>(activation, [&](auto f) { visitor.template operator()<T>(f); });
  });
}

/// visitor.operator()<T, kFromX>(f), for a backward pass. Identity looks at no output.
template <typename Visitor>
void visit_backward(const char* name, DType dtype, const ActivationParams& activation, const TensorView& y,
                    const Visitor& visitor) {
  visit(name, dtype, activation, [&]<typename T>(auto f) {
    if constexpr (!std::is_same_v<decltype(f), functors::Identity<float>>) {
      if (y.data == nullptr) return visitor.template operator()<T, true>(f);
    }
    visitor.template operator()<T, false>(f);
  });
}

/// 16 bytes hold this many.
template <typename T>
constexpr int kPackOf = 16 / sizeof(T);

Channels channels_of(const BatchNormBackwardViews& v) {
  return {v.mean.as<const float>(), v.inverse_std.as<const float>(), v.weight.as<const float>(),
          v.bias.as<const float>()};
}

/// Identity looks at no output, but a pointer must be there.
template <typename T>
const T* output_of(const BatchNormBackwardViews& v) {
  return v.y.data != nullptr ? v.y.as<const T>() : v.dy.as<const T>();
}

template <bool kResidual, typename T, typename F>
void launch_apply(const F& f, const TensorView& x, const Channels& channels, const TensorView& bias,
                  const TensorView& residual, const TensorView& y, bool aligned) {
  map_channels<kPackOf<T>>(
      "batch_norm_apply",
      Apply<T, F, kResidual>{f, x.as<const T>(), residual.as<const T>(), channels.mean, channels.inverse_std,
                             channels.weight, bias.data, bias.dtype == x.dtype, y.as<T>(), Rows(y)},
      ByChannel(x), aligned);
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
  const Channels channels{mean.as<const float>(), inverse_std.as<const float>(), weight.as<const float>(),
                          nullptr};
  const bool aligned =
      all_aligned(x, residual, y, mean, inverse_std, weight, bias) && Rows(y).aligned(y.dtype);
  visit("batch_norm_apply", x.dtype, activation, [&]<typename T>(auto f) {
    if (residual.data != nullptr) {
      launch_apply<true, T>(f, x, channels, bias, residual, y, aligned);
    } else {
      launch_apply<false, T>(f, x, channels, bias, residual, y, aligned);
    }
  });
}

void batch_norm_backward_parameters(const BatchNormBackwardViews& v, const TensorView& g,
                                    const TensorView& dweight, const TensorView& dbias,
                                    const ActivationParams& activation) {
  const char* name = "batch_norm_backward_parameters";
  visit_backward(name, v.x.dtype, activation, v.y, [&]<typename T, bool kFromX>(auto f) {
    channel_sums(
        name,
        GradientTerm<T, decltype(f), kFromX>{f, v.dy.as<const T>(), v.more.as<const T>(), v.x.as<const T>(),
                                             output_of<T>(v), channels_of(v), g.as<T>(), Rows(v.dy)},
        ByChannel(v.x), all_aligned(v.dy, v.more, v.x, v.y, g) && Rows(v.dy).aligned(v.dy.dtype),
        FinishParameters{v.inverse_std.as<const float>(), dweight.as<float>(), dbias.as<float>()});
  });
}

void batch_norm_backward_data(const BatchNormBackwardViews& v, const TensorView& dweight,
                              const TensorView& dbias, const TensorView& dx, bool training,
                              const ActivationParams& activation) {
  const char* name = "batch_norm_backward_data";
  const ByChannel sizes(v.x);
  visit_backward(name, v.x.dtype, activation, v.y, [&]<typename T, bool kFromX>(auto f) {
    map_channels<kPackOf<T>>(
        name,
        BackwardData<T, decltype(f), kFromX>{
            f, v.dy.as<const T>(), v.x.as<const T>(), output_of<T>(v), channels_of(v),
            dweight.as<const float>(), dbias.as<const float>(), static_cast<float>(sizes.outer * sizes.inner),
            training, dx.as<T>()},
        sizes, all_aligned(v.dy, v.x, v.y, dx, v.mean, v.inverse_std, v.weight, v.bias, dweight, dbias));
  });
}

}  // namespace dlcuda::kernels::cuda

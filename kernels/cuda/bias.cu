// One value a channel. x and dy: dense, axis 1 is the channel axis; f32, f16, bf16 with f32 arithmetic.
//
//   bias_add       y[n, c, ...] = x[n, c, ...] + bias[c]         y may be x
//   bias_backward  db[c] = sum over all axes but 1 of dy         in a fixed order (reduction.cuh)
//   activation_bias_backward  dx = dy f'(y), db[c] = sum over all axes but 1 of dx   the same
//
// Outputs are overwritten. In memory the tensor is (outer, channels, inner); channels-last has inner = 1.
#include "dlcuda/kernels/bias.h"

#include "dlcuda/kernels/cuda/channels.cuh"
#include "dlcuda/kernels/cuda/dtype.cuh"
#include "dlcuda/kernels/cuda/format.h"
#include "dlcuda/kernels/cuda/reduction.cuh"
#include "dlcuda/kernels/functors/activation.h"

namespace dlcuda::kernels::cuda {
namespace {

// A pack of N elements lies within one channel, or (kChannelFastest) spans N channels from a multiple of N
// on.
template <bool kChannelFastest, int N, typename T, typename Index>
__global__ void bias_add_kernel(const T* x, const T* bias, T* y, Index packs, Index channels, Index inner) {
  const auto threads = static_cast<Index>(global_threads());
  for (auto i = static_cast<Index>(global_thread()); i < packs; i += threads) {
    Pack<T, N> values = load_pack<T, N>(x, i);
    const Index channel = i * N / inner % channels;
    Pack<T, N> biases;
    if constexpr (kChannelFastest) {
      biases = load_pack<T, N>(bias, channel / N);
    } else {
#pragma unroll
      for (int j = 0; j < N; ++j) biases.value[j] = bias[channel];
    }
#pragma unroll
    for (int j = 0; j < N; ++j) {
      values.value[j] = T(static_cast<float>(values.value[j]) + static_cast<float>(biases.value[j]));
    }
    store_pack<T, N>(y, i, values);
  }
}

template <bool kChannelFastest, int N, typename T>
void launch_bias_add(const TensorView& x, const TensorView& bias, const TensorView& y,
                     const ChannelLayout& layout) {
  const std::int64_t count = x.numel(), packs = count / N;
  visit_index(count, [&]<typename Index>() {
    launch("bias_add", bias_add_kernel<kChannelFastest, N, T, Index>, grid_for(packs, kBlock), kBlock, 0,
           this_stream(), x.as<const T>(), bias.as<const T>(), y.as<T>(), packs, layout.channels,
           layout.inner);
  });
}

/// dx is written as it is computed; the sums are those of what was written.
template <typename T, typename F>
struct ActivationTerm {
  F f;
  const T *dy, *y;
  T* dx;

  template <int N>
  struct Values {
    Pack<T, N> dy, y;
  };
  static constexpr int kPack = 16 / sizeof(T), kAtOnce = 4;
  __device__ int channel(std::int64_t) const { return 0; }
  template <int N>
  __device__ Values<N> read(std::int64_t i) const {
    return {load_pack<T, N>(dy + i, 0), load_pack<T, N>(y + i, 0)};
  }
  template <int N>
  __device__ void add(const Values<N>& values, std::int64_t i, const int (&)[N],
                      ChannelSums (&sums)[N]) const {
    Pack<T, N> out;
#pragma unroll
    for (int j = 0; j < N; ++j) {
      out.value[j] =
          T(f.backward(static_cast<float>(values.dy.value[j]), static_cast<float>(values.y.value[j])));
      sums[j].first += static_cast<float>(out.value[j]);
    }
    store_pack<T, N>(dx + i, 0, out);
  }
};

template <typename T>
struct FinishBias {
  T* db;
  __device__ void operator()(std::int64_t, std::int64_t c, const ChannelSums& sums) const {
    db[c] = T(sums.first);
  }
};

}  // namespace

void bias_add(const TensorView& x, const TensorView& bias, const TensorView& y) {
  const ChannelLayout layout(x);
  visit_float("bias_add", x.dtype, [&]<typename T>() {
    constexpr int kPack = 16 / sizeof(T);
    const bool aligned = is_aligned(x.data, 16) && is_aligned(y.data, 16);
    if (aligned && layout.inner % kPack == 0) {
      launch_bias_add<false, kPack, T>(x, bias, y, layout);
    } else if (aligned && layout.inner == 1 && layout.channels % kPack == 0 && is_aligned(bias.data, 16)) {
      launch_bias_add<true, kPack, T>(x, bias, y, layout);
    } else {
      launch_bias_add<false, 1, T>(x, bias, y, layout);
    }
  });
}

void bias_backward(const TensorView& dy, const TensorView& db) {
  const ChannelLayout layout(dy);
  visit_float("bias_backward", dy.dtype, [&]<typename T>() {
    if (layout.inner == 1) {
      return reduce_middle<Sum>("bias_backward", dy.as<const T>(), 1, layout.outer, layout.channels,
                                db.as<T>());
    }
    const Tensor planes = Tensor::empty({layout.outer, layout.channels}, DType::F32, this_device());
    reduce_middle<Sum>("bias_backward", dy.as<const T>(), layout.outer * layout.channels, layout.inner, 1,
                       planes.data<float>());
    reduce_middle<Sum>("bias_backward", static_cast<const float*>(planes.data<float>()), 1, layout.outer,
                       layout.channels, db.as<T>());
  });
}

void activation_bias_backward(const TensorView& dy, const TensorView& y, const TensorView& dx,
                              const TensorView& db, const ActivationParams& activation) {
  const char* name = "activation_bias_backward";
  visit_float(name, dy.dtype, [&]<typename T>() {
    functors::visit_fused_activation<float>(activation, [&](auto f) {
      channel_sums(name, ActivationTerm<T, decltype(f)>{f, dy.as<const T>(), y.as<const T>(), dx.as<T>()},
                   ByChannel(dy), all_aligned(dy, y, dx), FinishBias<T>{db.as<T>()});
    });
  });
}

}  // namespace dlcuda::kernels::cuda

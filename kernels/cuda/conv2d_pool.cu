// A convolution, an activation and the average of 2 x 2 windows. Tensors dense in either format, all the
// same; f32, f16, bf16 with f32 arithmetic.
//
//   forward   y = f(conv2d(x, weight) + bias); pooled = means of y's windows      as conv2d.cpp and pool2d.cu
//   backward  g = dpooled / 4 f'(y), at the elements of its window, 0 beside the windows; dbias = the sum of
//   g
//             over all axes but 1; dx and dweight from g as conv2d.cpp
//
// Outputs are overwritten. One pass makes g from dpooled and y and adds it up on the way, in a fixed order;
// the sums are those of what was written.
#include "dlcuda/kernels/conv2d_pool.h"

#include "dlcuda/kernels/conv2d_fused.h"
#include "dlcuda/kernels/cuda/channels.cuh"
#include "dlcuda/kernels/cuda/dtype.cuh"
#include "dlcuda/kernels/cuda/format.h"
#include "dlcuda/kernels/functors/activation.h"
#include "dlcuda/kernels/pool2d.h"

namespace dlcuda::kernels::cuda {
namespace {

/// Where an element of (outer, H, W, inner) finds its window's: channels-last has inner = C, else it is 1.
template <typename Index>
struct Windows {
  Index height, width, inner;

  /// The index of the window's element, or -1 beside the windows.
  __device__ std::int64_t of(std::int64_t element) const {
    const auto i = static_cast<Index>(element);
    const Index lane = i % inner, pixel = i / inner;
    const Index w = pixel % width, line = pixel / width, h = line % height, outer = line / height;
    if (h / 2 >= height / 2 || w / 2 >= width / 2) return -1;
    return static_cast<std::int64_t>(((outer * (height / 2) + h / 2) * (width / 2) + w / 2) * inner + lane);
  }
};

/// g is written as it is computed.
template <typename T, typename F, typename Index>
struct SlopeTerm {
  F f;
  Windows<Index> windows;
  const T *dpooled, *y;
  T* g;

  template <int N>
  struct Values {
    Pack<T, N> share, y;
  };
  static constexpr int kPack = 16 / sizeof(T), kAtOnce = 4;
  __device__ int channel(std::int64_t) const { return 0; }
  template <int N>
  __device__ Values<N> read(std::int64_t i) const {
    Values<N> values{};
    const std::int64_t window = windows.of(i);
    if (window >= 0) values.share = load_pack<T, N>(dpooled + window, 0);
    values.y = load_pack<T, N>(y + i, 0);
    return values;
  }
  template <int N>
  __device__ void add(const Values<N>& values, std::int64_t i, const int (&)[N],
                      ChannelSums (&sums)[N]) const {
    Pack<T, N> out;
#pragma unroll
    for (int j = 0; j < N; ++j) {
      out.value[j] = T(f.backward(static_cast<float>(values.share.value[j]) * 0.25f,
                                  static_cast<float>(values.y.value[j])));
      sums[j].first += static_cast<float>(out.value[j]);
    }
    store_pack<T, N>(g + i, 0, out);
  }
};

template <typename T>
struct FinishBias {
  T* db;
  __device__ void operator()(std::int64_t, std::int64_t c, const ChannelSums& sums) const {
    db[c] = T(sums.first);
  }
};

/// What pool2d.h wants to know of y and pooled.
PoolGeometry halving(const TensorView& y, const TensorView& pooled) {
  const auto axis = [&](int i) { return PoolWindows{2, 2, 0, y.shape[i], pooled.shape[i], false}; };
  return {axis(2), axis(3), true};
}

void slopes(const TensorView& dpooled, const TensorView& y, const TensorView& g, const TensorView& db,
            const ActivationParams& activation) {
  const char* name = "conv2d_pool_backward";
  const bool channels_last = is_channels_last(y);
  const ChannelLayout layout(y);
  TensorView by_channel = y;
  by_channel.rank = 3;
  by_channel.shape[0] = layout.outer;
  by_channel.shape[2] = layout.inner;
  visit_float(name, y.dtype, [&]<typename T>() {
    visit_index(y.numel(), [&]<typename Index>() {
      const Windows<Index> windows{static_cast<Index>(y.shape[2]), static_cast<Index>(y.shape[3]),
                                   static_cast<Index>(channels_last ? y.shape[1] : 1)};
      functors::visit_fused_activation<float>(activation, [&](auto f) {
        channel_sums(
            name,
            SlopeTerm<T, decltype(f), Index>{f, windows, dpooled.as<const T>(), y.as<const T>(), g.as<T>()},
            ByChannel(by_channel), all_aligned(dpooled, y, g), FinishBias<T>{db.as<T>()});
      });
    });
  });
}

}  // namespace

void conv2d_pool_forward(const TensorView& x, const TensorView& weight, const TensorView& bias,
                         const TensorView& y, const TensorView& pooled, const Conv2dParams& params,
                         const ActivationParams& activation) {
  conv2d_fused(x, weight, bias, {}, y, params, activation, nullptr);
  avg_pool2d_forward(y, pooled, halving(y, pooled));
}

void conv2d_pool_backward(const TensorView& dpooled, const TensorView& y, const TensorView& x,
                          const TensorView& weight, const TensorView& dx, const TensorView& dw,
                          const TensorView& db, const Conv2dParams& params,
                          const ActivationParams& activation) {
  const Tensor room =
      Tensor::empty({y.shape[0], y.shape[1], y.shape[2], y.shape[3]}, y.dtype, this_device(),
                    is_channels_last(y) ? MemoryFormat::ChannelsLast : MemoryFormat::Contiguous);
  slopes(dpooled, y, room.raw(), db, activation);
  if (dx.data != nullptr) conv2d_backward_data(room.raw(), weight, dx, params);
  conv2d_backward_weight(x, room.raw(), dw, {}, params);
}

}  // namespace dlcuda::kernels::cuda
